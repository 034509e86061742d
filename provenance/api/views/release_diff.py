"""The page that compares two versions of a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Link, Page, Time


@dataclass(frozen=True)
class DiffSide:
    """One of the two versions, and the decision that it was made of."""

    name: str
    url: str
    state: str
    student: str
    dataset: str
    selection: str
    log_size: int
    released: int
    quarantined: int
    decision_id: str
    verdict: str
    decided_at: Time
    policy_digest: str
    terms_digest: str | None


@dataclass(frozen=True)
class ClassChange:
    """Classes of facts with the same fate: they came, went, moved or grew; state and samples on each side, and the rule that
    held them back."""

    teacher: str
    route: str
    change: str
    before: str | None
    after: str | None
    classes: int
    samples_before: int
    samples_after: int
    rule: str | None
    text: str | None


@dataclass(frozen=True)
class Change:
    """A document, pack or condition that differs; `before` and `after` say in words what stood there."""

    name: str
    change: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class SampleChange:
    """One sample: in which of the two it is, and where it was or is instead."""

    index: int
    change: str
    teacher: str
    fact_class: str
    before: str
    after: str


@dataclass(frozen=True)
class ReleaseDiffPage(Page):
    """`/releases/{name}/{a}..{b}`: what came, what went, and why. `quarantine` is what moved into it or out of it, `classes`
    what else differs; the API lists each class for itself."""

    template: ClassVar[str] = "releases/diff.html"
    section: ClassVar[str] = "Releases"
    rows_field: ClassVar[str | None] = "rows"

    before: DiffSide
    after: DiffSide
    counts: Mapping[str, int]
    classes: Sequence[ClassChange]
    quarantine: Sequence[ClassChange]
    documents: Sequence[Change]
    packs: Sequence[Change]
    conditions: Sequence[Change]
    shown: str | None
    rows: Sequence[SampleChange]
    next_url: str | None
    choices: Sequence[Link]
