"""Pages of exceptions: the list, and one with its scope, its steps and the decisions that used it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from provenance.api.pages import PageDep, add_page
from provenance.api.routes.exceptions import find_steps, show
from provenance.api.routes.pages.agreements import fill_steps, fill_uses
from provenance.api.views.lifts import ExceptionPage, ExceptionRow, ExceptionsPage
from provenance.store.lifts import list_histories, list_requests, list_uses

router = APIRouter()
ROW = ("id", "state", "rules", "actions", "expires_on", "requested_by", "approved_by")
SCOPE = ("dataset", "fact_classes", "teacher", "reason")


@add_page(router, "/exceptions", "json", "csv")
def index_exceptions(asked: PageDep) -> Response:
    """Which rules were asked to be set aside, newest first."""
    today = asked.runtime.clock().date()
    keys = [row.key for row in list_requests(asked.session)]
    shown = [show(steps, today) for steps in list_histories(asked.session, "exception", keys).values()]
    rows = [ExceptionRow(**{name: row[name] for name in ROW}, student=row["student"]["name"]) for row in shown]
    return asked.answer(ExceptionsPage(rows))


@add_page(router, "/exceptions/{identifier}", "json", "csv")
def show_exception(identifier: str, asked: PageDep) -> Response:
    """One exception."""
    steps = find_steps(asked.session, identifier)
    shown = show(steps, asked.runtime.clock().date())
    page = ExceptionPage(
        **{name: shown[name] for name in (*ROW, *SCOPE)},
        student=shown["student"]["name"],
        student_digest=shown["student"]["digest"],
        entry_index=shown["entry"],
        steps=fill_steps(steps),
        uses=fill_uses(asked, list_uses(asked.session, "exceptions", identifier)),
    )
    return asked.answer(page)
