"""Pages about policies: the pack in force rule by rule, and one pack from its proposal to its approval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Page, Time


@dataclass(frozen=True)
class Rule:
    """One rule: effect permit, review or deny; `source` is the rule's own text."""

    id: str
    effect: str
    text: str
    source: str


@dataclass(frozen=True)
class Pack:
    """A file of rules with the digest that decisions name."""

    name: str
    digest: str
    rules: Sequence[Rule]


@dataclass(frozen=True)
class PackStatement:
    """One statement about a pack; `state` is shipped, proposed or approved, `flips` counts classes of past decisions."""

    id: str
    state: str
    author: str | None
    approver: str | None
    recorded_at: Time | None
    entry_index: int
    flips: int | None
    in_force: bool


@dataclass(frozen=True)
class PoliciesPage(Page):
    """`/policies`: what is the rule. `digest` is of all packs together; `cases` counts the examples that tests hold them to."""

    template: ClassVar[str] = "policies/list.html"
    section: ClassVar[str] = "Policies"
    rows_field: ClassVar[str | None] = "packs"

    digest: str
    packs: Sequence[Pack]
    cases: int
    entry_index: int | None
    shipped_id: str | None = None
    history: Sequence[PackStatement] = ()


@dataclass(frozen=True)
class FlipCount:
    """How many classes, samples and tokens of past decisions go from one verdict to another."""

    before: str
    after: str
    classes: int
    samples: int
    tokens: int


@dataclass(frozen=True)
class FlipRow:
    """Classes of samples of one past decision, of one teacher, whose verdict would be another; `rules` speak then."""

    decision: str
    dataset: str
    student: str
    action: str
    teacher: str
    before: str
    after: str
    classes: int
    samples: int
    releases: Sequence[str]
    rules: Sequence[str]


@dataclass(frozen=True)
class RuleChange:
    """A rule that is new, gone or in other words than in the pack that it replaces."""

    id: str
    change: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class PolicyPage(Page):
    """`/policies/{id}`: what would a change do. `replay_size` is the log size at which past decisions were asked again."""

    template: ClassVar[str] = "policies/show.html"
    section: ClassVar[str] = "Policies"
    rows_field: ClassVar[str | None] = "flips"

    id: str
    digest: str
    state: str
    in_force: bool
    author: str | None
    proposed_by: str | None
    approver: str | None
    recorded_at: Time | None
    entry_index: int
    cases: int | None
    decisions: int | None
    replay_digest: str | None
    replay_size: int | None
    not_replayed: int
    totals: Sequence[FlipCount]
    flips: Sequence[FlipRow]
    changes: Sequence[RuleChange]
    replaces: str | None
