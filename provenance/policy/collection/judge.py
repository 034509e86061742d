"""Our verdicts on a data set that a model generated: for a plain commercial and a plain research student, over every day.

- A summary names no day of generation. It is bounded: not before the model could be used, not after the data set was there.
  Every day in between on which other documents may hold is judged; if the verdicts differ, the answer is `review`.
- The teacher comes by route `dataset`: a contract that somebody else accepted is shown and held for review.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from provenance.capture.collection.facts import DatasetFacts, NamedGenerator
from provenance.policy.decide import decide
from provenance.policy.pack import Pack
from provenance.policy.verdict import Verdict, strictest
from provenance.terms.catalogue import Catalogue

ONE_DAY = dt.timedelta(days=1)
BEFORE_ALL = dt.date(2000, 1, 1)
# Everything that could matter is declared, so that what is left open is left open by the data set, not by the student.
_PLAIN: Mapping[str, Any] = {
    "name": "plain-student",
    "developer": {"name": "Example", "country": "FR", "ultimate_parent_country": "FR"},
    "base_model": None,
    "base_license": None,
    "purpose": "general-assistant",
    "territories": ["FR"],
    "monthly_active_users": 1_000,
    "annual_revenue_usd": 100_000,
    "notices": [],
    "training": {"location": "FR", "hardware": "cpu"},
}
ACADEMIC_LICENCE = "academic research only"


STUDENTS = ("commercial", "research")


def students(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """The two students: an assistant that is sold competes with every provider; one that nobody gets competes with none."""
    sold = {"use": "commercial", "distribution": "product", "competes_with": sorted(catalogue.providers)}
    kept = {"use": "research", "distribution": "none", "competes_with": []}
    return {"commercial": {**_PLAIN, **sold, "release_license": "Apache-2.0"}, "research": {**_PLAIN, **kept}}


@dataclass(frozen=True)
class Teacher:
    """One teacher of a data set; `provider` or `model` is None where it is not known."""

    name: str
    provider: str | None
    model: str | None
    first_day: dt.date | None


@dataclass(frozen=True)
class TeacherVerdict:
    """What the rules say of one teacher: the verdict over all days, the span judged, and the rules that spoke."""

    teacher: Teacher
    verdict: Verdict
    days: tuple[str, ...]
    by_verdict: Mapping[str, Sequence[str]]
    reasons: tuple[Mapping[str, Any], ...]


@dataclass
class CollectionJudge:
    """Judges data sets; what is alike is judged once."""

    catalogue: Catalogue
    pack: Pack
    _known: dict[tuple[Any, ...], TeacherVerdict] = field(default_factory=dict)

    @cached_property
    def _students(self) -> dict[str, dict[str, Any]]:
        return students(self.catalogue)

    def judge(self, facts: DatasetFacts, student: str) -> list[TeacherVerdict]:
        """The verdict on each teacher of a data set for one of `STUDENTS`."""
        claimed = claimed_license(facts)
        return [self.judge_teacher(teacher, facts.window.last, claimed, student) for teacher in list_teachers(facts)]

    def judge_teacher(self, teacher: Teacher, last: dt.date | None, claimed: str, student: str) -> TeacherVerdict:
        """The verdict on one teacher of a data set that was there by `last`, under the licence that it is claimed to have."""
        bare = replace(teacher, name="")
        key = (bare, last, claimed, student)
        if key not in self._known:
            self._known[key] = self._judge_days(bare, list_days(bare, last, self.catalogue), claimed, student)
        return replace(self._known[key], teacher=teacher)

    def _judge_days(self, teacher: Teacher, days: Sequence[str], claimed: str, student: str) -> TeacherVerdict:
        by_verdict: dict[str, list[str]] = {}
        reasons: dict[tuple[Any, ...], dict[str, Any]] = {}
        for day in days or ["unknown"]:
            sample, asked = _sample(teacher, day, claimed), self._students[student]
            answer = decide(sample, asked, catalogue=self.catalogue, pack=self.pack, remedies=False)
            by_verdict.setdefault(answer["verdict"], []).append(day)
            for reason in answer["reasons"]:
                kept = {name: reason[name] for name in ("rule", "effect", "document", "clause", "route", "text")}
                reasons.setdefault((reason["rule"], reason["document"]), {**kept, "days": []})["days"].append(day)
        verdict: Verdict = "review" if len(by_verdict) > 1 else strictest(by_verdict)  # type: ignore[arg-type]  # keys are verdicts
        return TeacherVerdict(teacher, verdict, tuple(days), by_verdict, tuple(reasons.values()))


def overall(verdicts: Sequence[TeacherVerdict]) -> Verdict:
    """The strictest over the teachers of a data set."""
    return strictest(item.verdict for item in verdicts)


def list_teachers(facts: DatasetFacts) -> list[Teacher]:
    """The models that generated a data set, and providers whose terms are listed though none of their models is named."""
    found = [_teacher(item) for item in facts.generators if item.taken_for is None or item.taken_for.is_model]
    named = {teacher.provider for teacher in found}
    hidden = [terms for terms in facts.licenses.provider_terms if terms.provider not in named]
    return found + [Teacher(f"terms of {item.name}", item.provider, None, None) for item in dict.fromkeys(hidden)]


def _teacher(item: NamedGenerator) -> Teacher:
    found = item.taken_for
    return Teacher(item.name, None, None, None) if found is None else Teacher(
        item.name, found.provider, found.model, found.first_day
    )  # fmt: skip


def list_days(teacher: Teacher, last: dt.date | None, catalogue: Catalogue) -> list[str]:
    """The days that stand for all between the model's first and `last`: the ends, and each on which a document may change.

    Empty where the window has no end, or ends before the model could be used: then the day is not known.
    """
    first = teacher.first_day or BEFORE_ALL
    if last is None or first > last:
        return []
    provider = catalogue.find_provider(teacher.provider) if teacher.provider else None
    changes: set[dt.date] = set()
    for document in provider.documents if provider else ():
        changes.update(document.period.start or ())
        changes.update(day + ONE_DAY for day in document.period.end or ())
    return [day.isoformat() for day in sorted({first, last} | {day for day in changes if first < day < last})]


def claimed_license(facts: DatasetFacts) -> str:
    """The licence that the data set is claimed to be under, as the engine reads one: the strictest that a source names."""
    if facts.licenses.use == "unspecified":
        restricting = next((item.spdx for item in facts.licenses.named if item.spdx and "-ND" in item.spdx), None)
        return restricting or "unknown"
    labels = dict.fromkeys(item.spdx or item.name for item in facts.licenses.named if item.use == facts.licenses.use)
    if facts.licenses.use == "academic-only":
        return ACADEMIC_LICENCE
    return " AND ".join(labels)[:200]


def _sample(teacher: Teacher, day: str, claimed: str) -> dict[str, Any]:
    return {
        "teacher": {"provider": teacher.provider or "unknown", "model": teacher.model or "unknown", "route": "dataset"},
        "role": "generator",
        "generated_at": day,
        "source_dataset": {"ref": "collection", "license": claimed},
    }
