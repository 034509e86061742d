"""Pages about recalls: the list, and one recall with its reach, its acts and who was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Link, Page, Time


@dataclass(frozen=True)
class RecallRow:
    """One recall of the list; `state` is recall-open, upheld or lifted."""

    id: str
    state: str
    source: str
    opened_at: Time
    opened_by: str
    releases: int
    models: int
    acts_settled: int
    acts_total: int


@dataclass(frozen=True)
class RecallsPage(Page):
    """`/recalls`: what was recalled, and what is still open, newest first."""

    template: ClassVar[str] = "recalls/list.html"
    section: ClassVar[str] = "Log"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[RecallRow]


@dataclass(frozen=True)
class Reached:
    """One thing that was reached: `how` is direct or inherited; `share` of its tokens where that is known."""

    kind: str
    thing: Link
    how: str
    generation: int
    detail: str
    share: float | None = None


@dataclass(frozen=True)
class RecallAct:
    """One thing to do, and what came of it."""

    id: str
    state: str
    text: str
    actor: str | None
    at: Time | None
    note: str | None


@dataclass(frozen=True)
class Told:
    """A message to somebody: whether it arrived."""

    address: str
    state: str
    attempts: int
    error: str | None


@dataclass(frozen=True)
class RecallPage(Page):
    """`/recalls/{id}`: what it reached, what is held back, what is still to be done, at whose word it ended."""

    template: ClassVar[str] = "recalls/show.html"
    section: ClassVar[str] = "Log"
    rows_field: ClassVar[str | None] = "rows"

    id: str
    state: str
    source: str
    reason: str
    opened_by: str
    opened_at: Time
    closed_by: str | None
    closed_at: Time | None
    closing_reason: str | None
    log_size: int
    root: str
    reach_digest: str
    samples: int
    tokens: int
    rows: Sequence[Reached]
    acts: Sequence[RecallAct]
    told: Sequence[Told]
    entries: Sequence[Link]
