"""PROV-JSON as it is written: records by kind, typed attributes, and relations that are numbered at the end.

Source: W3C Member Submission "The PROV-JSON Serialization", 24 April 2013; W3C Recommendation PROV-DM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provenance.canonical import canonical_bytes

LOG, OURS = "log", "provenance"
Value = str | int | bool | Mapping[str, str] | list[Any]


def qualified(name: str) -> dict[str, str]:
    """A qualified name as the value of an attribute."""
    return {"$": name, "type": "prov:QUALIFIED_NAME"}


def count_of(number: int) -> dict[str, str]:
    """A count: a bare number of JSON is an `xsd:int`, which ends at 2^31."""
    return {"$": str(number), "type": "xsd:long"}


def ours(name: str) -> str:
    """A term of our vocabulary."""
    return f"{OURS}:{name}"


class Records:
    """Collects records; a record or relation that is told twice stands once."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._prefixes = dict(prefixes)
        self._things: dict[str, dict[str, dict[str, Any]]] = {}
        self._relations: dict[str, dict[bytes, dict[str, Any]]] = {}

    def add(self, kind: str, local: str, /, **attributes: Value | None) -> str:
        """Tell of an entity, activity or agent; the answer is its name. What is not known is left out."""
        name = f"{LOG}:{local}"
        self._things.setdefault(kind, {}).setdefault(name, {}).update(_clean(attributes))
        return name

    def relate(self, kind: str, ends: Mapping[str, str], /, **attributes: Value | None) -> None:
        """Tell that things stand in a relation; `ends` by role, such as `entity` or `generatedEntity`."""
        said = {**{f"prov:{role}": name for role, name in ends.items()}, **_clean(attributes)}
        self._relations.setdefault(kind, {})[canonical_bytes(said)] = said

    def format(self) -> bytes:
        """The document, in RFC 8785 form: the same records, the same bytes."""
        whole: dict[str, Any] = {"prefix": self._prefixes, **self._things}
        for kind, told in self._relations.items():
            whole[kind] = {f"_:{kind}{number}": told[key] for number, key in enumerate(sorted(told), 1)}
        return canonical_bytes(whole)


def _clean(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """Attributes under their qualified names: `prov_label` is PROV's, every other one ours."""
    found: dict[str, Value] = {}
    for name, value in attributes.items():
        if value is None or value == []:
            continue
        key = f"prov:{name.removeprefix('prov_')}" if name.startswith("prov_") else ours(name)
        found[key] = _write(value)
    return found


def _write(value: Any) -> Any:
    if isinstance(value, list):
        return [_write(item) for item in _each_once(value)]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return count_of(value)


def _each_once(values: Iterable[Any]) -> list[Any]:
    return list({canonical_bytes(value): value for value in values}.values())
