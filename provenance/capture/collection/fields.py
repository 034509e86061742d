"""The fields that a summary of the Data Provenance Collection may have, and of which type each is.

- An unknown or misspelt field is an error that names file and field: taken for absent, it would read as "nothing said".
- `strip_summary` keeps what we use. Who verified a licence is a person's name, and is dropped before anything is sent.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from provenance.capture.check import UNFIT
from provenance.errors import FieldError, MalformedError
from provenance.terms.days import parse_bound

MAX_TEXT = 20_000
MAX_ITEMS = 5_000
MAX_NAME = 300
MAX_GENERATORS = 50
MAX_ID = 200

Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and len(value) <= MAX_TEXT else f"text of at most {MAX_TEXT:,} characters"


def is_name(value: Any, longest: int = MAX_NAME) -> bool:
    """Whether a value is short text in one direction, without control characters; empty is "nothing said"."""
    return isinstance(value, str) and len(value) <= longest and not UNFIT.search(value)


def _name(value: Any) -> str | None:
    return None if is_name(value) else f"at most {MAX_NAME} characters without control or bidirectional characters"


def _names(value: Any) -> str | None:
    good = isinstance(value, list) and len(value) <= MAX_ITEMS and all(map(is_name, value))
    return None if good else f"a list of names, each of at most {MAX_NAME} characters"


def _texts(value: Any) -> str | None:
    good = isinstance(value, list) and len(value) <= MAX_ITEMS and all(_text(item) is None for item in value)
    return None if good else "a list of texts"


def _text_or_texts(value: Any) -> str | None:
    return None if _text(value) is None or _texts(value) is None else "text, or a list of texts"


def _text_or_none(value: Any) -> str | None:
    return None if value is None or _text(value) is None else "text, or null"


def _few_names_or_none(value: Any) -> str | None:
    good = value is None or (_names(value) is None and len(value) <= MAX_GENERATORS)
    return None if good else f"a list of at most {MAX_GENERATORS} names, or null"


def _number(value: Any) -> str | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return None if good else "a number, zero or more"


def _count_or_text(value: Any) -> str | None:
    return None if _number(value) is None or _text(value) is None else "a number, or text"


def _day(value: Any) -> str | None:
    expected = "a day YYYY-MM-DD, or empty"
    if not isinstance(value, str) or len(value) not in (0, len("2026-11-24")):
        return expected
    try:
        parse_bound(value or None)
    except MalformedError:
        return expected
    return None


FIELDS: Mapping[str, Check | None] = {  # None: an object or list of objects with fields of its own
    "Unique Dataset Identifier": _name, "Dataset Name": _name, "Paper Title": _text, "Dataset URL": _text,
    "GitHub URL": _text, "Hugging Face URL": _text, "Papers with Code URL": _text, "ArXiv URL": _text,
    "Semantic Scholar Corpus ID": _count_or_text, "Collection": _name, "Collection URL": _text, "Languages": _texts,
    "Task Categories": _texts, "Text Sources": _texts, "Model Generated": _few_names_or_none, "Format": _texts,
    "Human Annotation": _text_or_texts, "Derived from Datasets": _names, "Creators": _texts, "Licenses": None,
    "License Notes": _text, "License Verified By": _text, "Dataset Filter IDs": _texts, "Bibtex": _text,
    "Inferred Metadata": None, "Text Metrics": None,
}  # fmt: skip
REQUIRED = (
    "Unique Dataset Identifier", "Dataset Name", "Collection", "Licenses", "Model Generated", "Derived from Datasets",
)  # fmt: skip
LICENSE_FIELDS: Mapping[str, Check] = {"License": _name, "License URL": _text_or_none}
METADATA_FIELDS: Mapping[str, Check] = {
    "GitHub License": _name, "Github Date": _day, "GitHub Topics": _text_or_texts, "HF Config": _text,
    "HF Config License": _name, "HF Dataset": _text, "HF Date": _day, "HF Yaml License": _name, "PwC Date": _day,
    "PwC Description": _text, "PwC License Name": _name, "PwC License URL": _text_or_none, "S2 Date": _day,
    "Text Topics": _texts,
}  # fmt: skip
# Figures carry the month in which they were read: "HF Downloads (May 2024)".
COUNTED = re.compile(
    r"(?:HF Downloads|HF Likes|GitHub Stars|S2 Citation Count)"
    r"(?: \((?P<month>January|February|March|April|May|June|July|August|September|October|November|December) (?P<year>20\d\d)\))?"
)
METRIC_FIELDS: Mapping[str, Check] = {
    f"{kind} {what}": _number
    for what in ("Inputs Length", "Targets Length", "Dialog Turns")
    for kind in ("Mean", "Max", "Min")
} | {"Num Dialogs": _number}
KEPT = (
    *REQUIRED, "Dataset URL", "GitHub URL", "Hugging Face URL", "ArXiv URL", "Creators", "Human Annotation",
)  # fmt: skip
_KEPT_METADATA = (
    "HF Dataset", "HF Config License", "HF Yaml License", "PwC License Name", "GitHub License", "HF Date", "PwC Date",
    "S2 Date", "Github Date",
)  # fmt: skip


def check_summary(value: Any, place: str) -> None:
    """Refuse a summary that has a field too many, too few or of another type; `place` names file and data set.

    Raises:
        MalformedError: names the place and the field.
    """
    _check_fields(value, FIELDS, place)
    for name in REQUIRED:
        if name not in value:
            fail(place, name, None, "this field")
    licenses = value["Licenses"]
    if not isinstance(licenses, list) or len(licenses) > MAX_ITEMS:
        fail(place, "Licenses", licenses, "a list of {License, License URL}")
    for number, item in enumerate(licenses):
        _check_fields(item, LICENSE_FIELDS, f"{place}.Licenses[{number}]")
        if "License" not in item:
            fail(f"{place}.Licenses[{number}]", "License", None, "the name of a licence")
    _check_fields(value.get("Inferred Metadata", {}), METADATA_FIELDS, f"{place}.Inferred Metadata", counted=True)
    _check_fields(value.get("Text Metrics", {}), METRIC_FIELDS, f"{place}.Text Metrics")


def strip_summary(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a checked summary that we use, under upstream's names; of dated figures only their names."""
    metadata = value.get("Inferred Metadata", {})
    kept = {name: metadata[name] for name in _KEPT_METADATA if name in metadata}
    kept |= {name: "" for name in metadata if COUNTED.fullmatch(name)}
    return {name: value[name] for name in KEPT if name in value} | {"Inferred Metadata": kept}


def fail(place: str, name: str, value: Any, expected: str) -> NoReturn:
    """Refuse `value` of the field `name` at `place`."""
    problem = FieldError(f"{place}.{name}", value, expected)
    raise MalformedError(f"{place}: {name}: expected {expected}, got {problem.to_json()['value']!r}", problem)


def _check_fields(value: Any, fields: Mapping[str, Check | None], place: str, *, counted: bool = False) -> None:
    if not isinstance(value, dict):
        problem = FieldError(place, value, "an object")
        raise MalformedError(f"{place}: expected an object, got {problem.to_json()['value']!r}", problem)
    for name, item in value.items():
        check: Check | None = _count_or_text if counted and COUNTED.fullmatch(name) else fields.get(name)
        if check is None and name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            known = f"a field of {len(fields)} known ones" if not near else f"{near[0]!r}, if that is meant"
            shown = name if len(name) <= MAX_ID else name[:MAX_ID] + "…"
            raise MalformedError(
                f"{place}: unknown field {shown!r}; expected {known}", FieldError(f"{place}.{shown}", item, known)
            )
        if check is not None and (expected := check(item)) is not None:
            fail(place, name, item, expected)
