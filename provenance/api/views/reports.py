"""Pages about reports: the list, the form that asks for one, and one report with its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import File, Page, Time


@dataclass(frozen=True)
class ReportRow:
    """One report of the list; `state` is building, done or failed."""

    id: str
    kind: str
    title: str
    subject: str
    log_size: int | None
    state: str
    built_at: Time | None


@dataclass(frozen=True)
class ReportsPage(Page):
    """`/reports`: which reports were built, newest first."""

    template: ClassVar[str] = "reports/list.html"
    section: ClassVar[str] = "Reports"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[ReportRow]


@dataclass(frozen=True)
class ReportKind:
    """A kind of report that can be built: its id in the contract, its title, whom it serves."""

    id: str
    title: str
    audience: str


@dataclass(frozen=True)
class ReportGuidePage(Page):
    """`/reports/new`: how to ask for a report. It needs a token and these pages know none, so they offer no form.

    `command` and `request` are what to paste into a shell, filled for `subject` where one was chosen.
    """

    template: ClassVar[str] = "reports/new.html"
    section: ClassVar[str] = "Reports"
    twins: ClassVar[tuple[str, ...]] = ()

    kinds: Sequence[ReportKind]
    subjects: Sequence[str]
    subject: str | None
    command: str
    request: str


@dataclass(frozen=True)
class ReportPage(Page):
    """`/reports/{id}`: the files with their digests, and how to check them. Its JSON and CSV are the report's own files.

    `entry_index` is None while it is being built; `gaps` counts the fields that are not recorded; `missing` says
    which form could not be made, and why.
    """

    template: ClassVar[str] = "reports/show.html"
    section: ClassVar[str] = "Reports"
    twins: ClassVar[tuple[str, ...]] = ()

    id: str
    kind: str
    title: str
    subject: str
    subject_url: str
    log_size: int | None
    state: str
    built_at: Time | None
    files: Sequence[File]
    evidence_url: str | None
    entry_index: int | None
    previous_id: str | None
    gaps: int | None
    fields: int | None
    missing: Sequence[str] = ()
    error: str | None = None
