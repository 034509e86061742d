"""The overview, the search page and the page of an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Link, Page, Time
from provenance.api.views.decisions import VerdictCount
from provenance.api.views.releases import ReleaseRow
from provenance.api.views.reports import ReportRow
from provenance.api.views.runs import RunRow


@dataclass(frozen=True)
class Task:
    """One thing that waits for a person: `state` is its status, `since` when it began if that is known, `act` the link's word."""

    state: str
    text: str
    detail: str
    since: Time | None
    act: Link


@dataclass(frozen=True)
class TeacherShare:
    """What one teacher gave to the record."""

    teacher: str
    samples: int
    url: str


@dataclass(frozen=True)
class OverviewPage(Page):
    """`/`: what needs me today, is the log healthy. `decided` counts the latest verdict of each sample.

    `tasks_left_out` counts those that are not listed; `log_consistent` is this server's own check of its checkpoint.
    """

    template: ClassVar[str] = "overview.html"
    rows_field: ClassVar[str | None] = "tasks"

    tasks: Sequence[Task]
    samples: int
    undecided: int
    decided: Sequence[VerdictCount]
    teachers: Sequence[TeacherShare]
    runs: Sequence[RunRow]
    releases: Sequence[ReleaseRow]
    reports: Sequence[ReportRow]
    log_consistent: bool
    tasks_left_out: int = 0


@dataclass(frozen=True)
class Hit:
    """One thing that was found: its kind, its name, where it is, and why it matched."""

    kind: str
    link: Link
    detail: str


@dataclass(frozen=True)
class SearchPage(Page):
    """`/search`: where is this id, digest, name or text. `left_out` counts hits beyond those shown."""

    template: ClassVar[str] = "search.html"
    rows_field: ClassVar[str | None] = "hits"

    query: str
    hits: Sequence[Hit]
    left_out: int


@dataclass(frozen=True)
class FieldProblem:
    """One bad field of a refused request."""

    field: str
    value: str | None
    expected: str


@dataclass(frozen=True)
class ErrorPage(Page):
    """An error as a page: the same facts as its problem JSON. Nothing was changed."""

    template: ClassVar[str] = "error.html"
    twins: ClassVar[tuple[str, ...]] = ()

    status: int
    title: str
    detail: str
    code: str
    request_id: str | None = None
    errors: Sequence[FieldProblem] = ()
    decision_id: str | None = None
