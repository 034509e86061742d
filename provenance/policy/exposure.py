"""What each terms document binds in the record: samples, the releases that hold some, the students that were judged on them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from provenance.policy.verdict import PERMITTING
from provenance.store.pages import list_judged_students, list_release_classes, list_slices, name_students
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import resolve_terms


@dataclass
class Exposure:
    """What one document binds."""

    samples: int = 0
    releases: set[str] = field(default_factory=set)
    students: set[str] = field(default_factory=set)

    def describe(self) -> dict[str, Any]:
        """As JSON, in an order of its own."""
        return {"samples": self.samples, "releases": sorted(self.releases), "students": sorted(self.students)}


def find_exposure(session: Session, catalogue: Catalogue) -> dict[str, Exposure]:
    """By document id; each fact class is bound once, whatever the number of its samples."""
    found: dict[str, Exposure] = defaultdict(Exposure)
    binds: dict[int, list[str]] = {}
    for item in list_slices(session):
        number = item.fact_class.id or 0
        if number not in binds:
            binds[number] = [document.id for document in resolve_terms(item.fact_class.facts, catalogue).documents]
        for name in binds[number]:
            found[name].samples += item.samples
    for release, judged in list_release_classes(session):
        for name in binds.get(judged.fact_class_id, ()) if judged.verdict in PERMITTING else ():
            found[name].releases.add(f"{release.name}@{release.version}")
    names = name_students(session)
    for number, student in list_judged_students(session):
        for name in binds.get(number, ()):
            found[name].students.add(names.get(student, student))
    return dict(found)
