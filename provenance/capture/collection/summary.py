"""Summaries of data sets as the Data Provenance Collection writes them, parsed: who says what, before any comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.capture.collection.fields import COUNTED, MAX_ID, check_summary, fail, is_name
from provenance.errors import FieldError, MalformedError

SELF_REPORTED = "self-reported"
MAX_DATASETS = 10_000
# The sources of a licence: our name for each, and the field of `Inferred Metadata` that it stands in.
OTHER_SOURCES = {
    "hugging-face": "HF Yaml License",
    "hugging-face-config": "HF Config License",
    "github": "GitHub License",
    "papers-with-code": "PwC License Name",
}
SOURCES = (SELF_REPORTED, *OTHER_SOURCES)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
DATES = {"paper": "S2 Date", "papers-with-code": "PwC Date", "hugging-face": "HF Date", "github": "Github Date"}


@dataclass(frozen=True)
class Claim:
    """One name that one source gives for the licence of a data set, with the address where it stands."""

    source: str
    name: str
    url: str | None = None


@dataclass(frozen=True)
class Summary:
    """One data set as upstream summarises it; `part_of` is the file ("Collection") that it stands in."""

    id: str
    name: str
    part_of: str
    hub_id: str | None
    urls: Mapping[str, str]
    creators: tuple[str, ...]
    claims: tuple[Claim, ...]
    generators: tuple[str, ...]
    parents: tuple[str, ...]
    human_annotation: str | None
    dates: Mapping[str, str]
    counted: tuple[str, ...]


def parse_summaries(files: Mapping[str, Any]) -> list[Summary]:
    """The summaries of all files, in the order of their names; `files` is file name -> parsed JSON.

    Raises:
        MalformedError: a field is unknown, misspelt or of another type, or an id stands twice; names file and field.
    """
    found: dict[str, tuple[str, Summary]] = {}
    for file, content in sorted(files.items()):
        if not isinstance(content, dict) or not content:
            problem = FieldError(file, content, "an object: data set id -> summary")
            raise MalformedError(f"{file}: expected {problem.expected}", problem)
        for key, value in content.items():
            summary = _parse_summary(file, key, value)
            if key in found:
                fail(file, key, key, f"an id that stands once; it stands in {found[key][0]} too")
            found[key] = file, summary
            if len(found) > MAX_DATASETS:
                fail(file, key, key, f"at most {MAX_DATASETS:,} data sets in all")
    return [summary for _, summary in found.values()]


def _parse_summary(file: str, key: str, value: Any) -> Summary:
    if not is_name(key, MAX_ID) or not key.strip() or "/" in key or "\\" in key or key in {".", ".."}:
        fail(file, key[:MAX_ID], key, f"an id of 1 to {MAX_ID} characters, without slashes or control characters")
    place = f"{file}: {key}"
    check_summary(value, place)
    if value["Unique Dataset Identifier"] != key:
        fail(place, "Unique Dataset Identifier", value["Unique Dataset Identifier"], f"{key!r}, as the key says")
    if value["Collection"] != file.removesuffix(".json"):
        fail(place, "Collection", value["Collection"], f"{file.removesuffix('.json')!r}, the name of the file")
    metadata = value.get("Inferred Metadata", {})
    annotation = value.get("Human Annotation")
    return Summary(
        id=key,
        name=value["Dataset Name"],
        part_of=value["Collection"],
        hub_id=metadata.get("HF Dataset") or None,
        urls={name: value[name] for name in ("Dataset URL", "Hugging Face URL", "GitHub URL") if value.get(name)},
        creators=tuple(value.get("Creators", ())),
        claims=(*_self_reported(value["Licenses"]), *_claims_of_others(metadata)),
        generators=_once(value["Model Generated"] or ()),
        parents=_once(value["Derived from Datasets"]),
        human_annotation=annotation if isinstance(annotation, str) and annotation else None,
        dates={source: metadata[name] for source, name in DATES.items() if metadata.get(name)}
        | _arxiv_month(value.get("ArXiv URL") or ""),
        counted=_counted_months(metadata),
    )


def _self_reported(items: Sequence[Mapping[str, Any]]) -> list[Claim]:
    return [Claim(SELF_REPORTED, item["License"], item.get("License URL") or None) for item in items]


def _claims_of_others(metadata: Mapping[str, Any]) -> list[Claim]:
    return [Claim(source, metadata[name]) for source, name in OTHER_SOURCES.items() if metadata.get(name)]


def _once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _counted_months(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The months in which upstream read figures of the data set, earliest first: it existed then."""
    found = (COUNTED.fullmatch(name) for name in metadata)
    months = {f"{m['year']}-{_MONTHS.index(m['month']) + 1:02d}" for m in found if m and m["month"]}
    return tuple(sorted(months))


def _arxiv_month(url: str) -> dict[str, str]:
    """The month that an arXiv number names: 2307.13692 was submitted in July 2023."""
    number = url.rstrip("/").rpartition("/")[2]
    year, month = number[:2], number[2:4]
    if number[4:5] != "." or not (year + month).isdecimal() or not 1 <= int(month) <= 12:
        return {}
    return {"arxiv": f"20{year}-{month}"}
