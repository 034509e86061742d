"""The overview: what needs a person today, is the log healthy, what happened last."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.filters import UNDECIDED
from provenance.api.routes.pages.log import check_head
from provenance.api.routes.pages.releases import fill_rows as fill_release_rows
from provenance.api.routes.pages.reports import fill_rows as fill_report_rows
from provenance.api.routes.pages.runs import fill_rows as fill_run_rows
from provenance.api.routes.pages.tasks import list_tasks
from provenance.api.views.decisions import VerdictCount
from provenance.api.views.overview import OverviewPage, TeacherShare
from provenance.store.pages import Slice, list_latest, list_slices
from provenance.store.releases import list_releases
from provenance.store.reports import list_reports
from provenance.store.runs import list_runs

router = APIRouter()
SHOWN_TASKS = 12
SHOWN_ROWS = 5
VERDICTS = ("deny", "review", "allow-with-conditions", "allow")


@add_page(router, "/", "json", "csv")
def show_overview(asked: PageDep) -> Response:
    """What needs me today, is the log healthy."""
    return asked.answer(fill_overview(asked))


def fill_overview(asked: Asked) -> OverviewPage:
    """The overview of the record."""
    session = asked.session
    slices, latest = list_slices(session), list_latest(session)
    counts: Counter[str] = Counter()
    for item in slices:
        judged = latest.get(item.key[1])
        counts[judged.verdict if judged else UNDECIDED] += item.samples
    tasks = list_tasks(asked, counts[UNDECIDED])
    return OverviewPage(
        tasks=tasks[:SHOWN_TASKS],
        tasks_left_out=max(0, len(tasks) - SHOWN_TASKS),
        samples=counts.total(),
        undecided=counts[UNDECIDED],
        decided=[VerdictCount(verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]],
        teachers=_fill_teachers(slices),
        runs=fill_run_rows(asked, list_runs(session, limit=SHOWN_ROWS)[:SHOWN_ROWS]),
        releases=fill_release_rows(asked, list_releases(session, limit=SHOWN_ROWS)[:SHOWN_ROWS]),
        reports=fill_report_rows(asked, list_reports(session, limit=SHOWN_ROWS)[:SHOWN_ROWS]),
        log_consistent=check_head(session, asked.runtime.ring) is None,
    )


def _fill_teachers(slices: list[Slice]) -> list[TeacherShare]:
    counts: Counter[str] = Counter()
    for item in slices:
        counts[item.fact_class.teacher] += item.samples
    return [TeacherShare(name, count, f"/samples?teacher={name}") for name, count in counts.most_common()]
