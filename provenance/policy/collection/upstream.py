"""The use class that the collection's own makers give a data set, computed as they do, from their `constants/`.

Each licence name has a class; a licence called "Custom" has one by its address; the strictest wins. It is only used to be
compared with ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provenance.capture.collection.summary import SELF_REPORTED, Summary
from provenance.errors import FieldError, MalformedError

CLASSES_FILE, CUSTOM_FILE = "license_classes.json", "custom_license_classes.json"
CONSTANTS = (CLASSES_FILE, CUSTOM_FILE)
NOT_COMPUTED = "not-computed"
UPSTREAM_USES = ("commercial", "unspecified", "non-commercial", "academic-only")
_CLASSES = {
    "All": "commercial",
    "Unspecified": "unspecified",
    "NC": "non-commercial",
    "Acad": "academic-only",
    "?": "academic-only",
}


@dataclass(frozen=True)
class UpstreamClasses:
    """Upstream's class of each licence name, and of each address of a licence called "Custom"."""

    by_name: Mapping[str, str]
    by_address: Mapping[str, str]

    def of(self, summary: Summary) -> str:
        """The use class of a data set; a name without a class is one that upstream left unspecified."""
        found = [self._of_claim(claim.name, claim.url) for claim in summary.claims if claim.source == SELF_REPORTED]
        return max(found, key=UPSTREAM_USES.index, default="unspecified")

    def _of_claim(self, name: str, url: str | None) -> str:
        if name == "Custom":
            return self.by_address.get(url or "", "unspecified")
        return self.by_name.get(name, "unspecified")


def parse_classes(constants: Mapping[str, Any]) -> UpstreamClasses | None:
    """Upstream's classes from its `constants/`; None where they were not handed in.

    Raises:
        MalformedError: names the file and the licence whose class is not [use, attribution, share-alike].
    """
    if not constants:
        return None
    for name in constants:
        if name not in CONSTANTS:
            raise _bad(name, "", name, f"one of {', '.join(CONSTANTS)}")
    tables = []
    for file in CONSTANTS:
        table = constants.get(file)
        if not isinstance(table, dict):
            raise _bad(file, "", table, "an object: name -> [use, attribution, share-alike]")
        for name, value in table.items():
            if not isinstance(value, list) or not value or not isinstance(value[0], str) or value[0] not in _CLASSES:
                raise _bad(file, name, value, f"[use, attribution, share-alike], use one of {', '.join(_CLASSES)}")
        tables.append({name: _CLASSES[value[0]] for name, value in table.items()})
    return UpstreamClasses(*tables)


def _bad(file: str, name: str, value: Any, expected: str) -> MalformedError:
    problem = FieldError(f"{file}: {name[:120]}" if name else file, value, expected)
    return MalformedError(f"{problem.field}: expected {expected}, got {problem.to_json()['value']!r}", problem)
