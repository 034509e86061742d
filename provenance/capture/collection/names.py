"""The alias table `policies/dataset_aliases.yaml`: what we take a name of upstream's for, and which names stay unknown.

Names are looked up folded (letter case, spaces, hyphens and underscores do not matter); nothing is guessed beyond that.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import FieldError, MalformedError, TermsDocumentError
from provenance.resources import find_resource
from provenance.terms.days import parse_day
from provenance.terms.yaml_file import read_yaml

USES = ("commercial", "unspecified", "non-commercial", "academic-only")  # each stricter than those before it
_SECTIONS = ("licenses", "silent", "provider_terms", "generators", "datasets")
_FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # required, optional
    "licenses": (frozenset({"name", "use"}), frozenset({"spdx"})),
    "provider_terms": (frozenset({"name", "provider"}), frozenset()),
    "generators": (frozenset({"names"}), frozenset({"provider", "model", "first_day", "is_model"})),
    "datasets": (frozenset({"ref", "names"}), frozenset()),
}


@dataclass(frozen=True)
class License:
    """A licence that a name stands for; without `spdx` the list has no id for it, or the name no version."""

    spdx: str | None
    use: str


@dataclass(frozen=True)
class Generator:
    """What a generator's name stands for; without a `model` only its provider is known."""

    provider: str | None
    model: str | None
    first_day: dt.date | None
    is_model: bool = True


@dataclass(frozen=True)
class Names:
    """The whole table, by folded names; `digest` is that of its values."""

    digest: str
    silent: frozenset[str]
    licenses: Mapping[str, License] = field(repr=False)
    provider_terms: Mapping[str, str] = field(repr=False)
    generators: Mapping[str, Generator] = field(repr=False)
    datasets: Mapping[str, str] = field(repr=False)


def fold(name: str) -> str:
    """A name without what spellings differ in: letter case, spaces, hyphens, underscores, curly apostrophes."""
    return re.sub(r"[\s_-]+", " ", name.casefold().replace("\u2019", "'")).strip()


def strictest_use(uses: Sequence[str]) -> str:
    """The strictest of use classes; none at all is `unspecified`, as silence permits nothing."""
    return max(uses, key=USES.index, default="unspecified")


def load_names(path: Path | None = None) -> Names:
    """The alias table that is shipped, or another.

    Raises:
        TermsDocumentError: names the file and the entry that is wrong, or that contradicts another.
    """
    path = path or find_resource("policies", "dataset_aliases.yaml")
    data = read_yaml(path)
    _check(data, path.name)
    return Names(
        digest=sha256_digest(canonical_bytes(data)),
        silent=frozenset(fold(name) for name in data["silent"]),
        licenses=_table(
            path.name, "licenses", ((i["name"], License(i.get("spdx"), i["use"])) for i in data["licenses"])
        ),
        provider_terms=_table(
            path.name, "provider_terms", ((i["name"], i["provider"]) for i in data["provider_terms"])
        ),
        generators=_table(
            path.name,
            "generators",
            ((name, _generator(item, path.name)) for item in data["generators"] for name in item["names"]),
        ),
        datasets=_table(
            path.name, "datasets", ((name, item["ref"]) for item in data["datasets"] for name in item["names"])
        ),
    )


def _table(file: str, section: str, pairs: Any) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if table.setdefault(fold(name), value) != value:
            raise _bad(file, section, name, "a name that stands for one thing")
    return table


def _generator(item: Mapping[str, Any], file: str) -> Generator:
    day = item.get("first_day")
    try:
        first_day = parse_day(day) if day else None
    except MalformedError as exc:
        raise _bad(file, "generators.first_day", day, "a day YYYY-MM-DD") from exc
    return Generator(item.get("provider"), item.get("model"), first_day, item.get("is_model", True))


def _check(data: Any, file: str) -> None:
    if not isinstance(data, dict) or set(data) != set(_SECTIONS):
        raise _bad(file, "sections", sorted(data) if isinstance(data, dict) else data, ", ".join(_SECTIONS))
    if not isinstance(data["silent"], list) or not all(isinstance(name, str) for name in data["silent"]):
        raise _bad(file, "silent", data["silent"], "a list of names")
    for section, (required, optional) in _FIELDS.items():
        if not isinstance(data[section], list):
            raise _bad(file, section, data[section], "a list")
        for item in data[section]:
            if not isinstance(item, dict) or not required <= item.keys() <= required | optional:
                raise _bad(
                    file, section, item, f"{', '.join(sorted(required))}; may have {', '.join(sorted(optional))}"
                )
            _check_values(section, item, file)


def _check_values(section: str, item: Mapping[str, Any], file: str) -> None:
    for name, value in item.items():
        good = (
            isinstance(value, bool)
            if name == "is_model"
            else isinstance(value, list) and value != [] and all(isinstance(i, str) and i for i in value)
            if name == "names"
            else isinstance(value, str) and value != ""
        )
        if not good:
            raise _bad(file, f"{section}.{name}", value, "text (names: a list of texts, is_model: true or false)")
    if section == "licenses" and item["use"] not in USES:
        raise _bad(file, "licenses.use", item["use"], ", ".join(USES))


def _bad(file: str, place: str, value: Any, expected: str) -> TermsDocumentError:
    problem = FieldError(f"{file}: {place}", value, expected)
    return TermsDocumentError(f"{file}: {place}: expected {expected}, got {problem.to_json()['value']!r}", problem)
