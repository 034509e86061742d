"""Pages of agreements: the list, and one with its terms, its entries and the decisions that used it."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.agreements import show
from provenance.api.views.lifts import AgreementPage, AgreementRow, AgreementsPage, Step, Use
from provenance.store.lifts import list_agreements, list_steps, list_uses
from provenance.store.log import get_statement
from provenance.store.pages import name_students
from provenance.store.tables import StatementRow

router = APIRouter()


@add_page(router, "/agreements", "json", "csv")
def index_agreements(asked: PageDep) -> Response:
    """What providers agreed to, the one that was made or revoked last first."""
    rows = [show(row, _today(asked)) for row in list_agreements(asked.session)]
    names = ("id", "state", "provider", "students", "actions", "valid_from", "valid_to")
    return asked.answer(AgreementsPage([AgreementRow(**{name: row[name] for name in names}) for row in rows]))


@add_page(router, "/agreements/{identifier}", "json", "csv")
def show_agreement(identifier: str, asked: PageDep) -> Response:
    """One agreement."""
    row = get_statement(asked.session, "agreement", identifier)
    shown = {name: value for name, value in show(row, _today(asked)).items() if name not in {"entry", "at"}}
    steps = fill_steps(list_steps(asked.session, "agreement", identifier))
    uses = fill_uses(asked, list_uses(asked.session, "agreements", identifier))
    return asked.answer(AgreementPage(**shown, entry_index=row.index, steps=steps, uses=uses))


def fill_steps(rows: Sequence[StatementRow]) -> list[Step]:
    """The entries about it, as a page lists them."""
    names = ("step", "actor", "at", "reason")
    return [Step(**{name: row.predicate[name] for name in names}, entry=row.index) for row in rows]


def fill_uses(asked: Asked, rows: Sequence[StatementRow]) -> list[Use]:
    """The decisions that used it, as a page lists them."""
    students = name_students(asked.session)
    return [
        Use(
            id=row.key,
            student=students.get(row.predicate["student"]["id"], row.predicate["student"]["id"]),
            **{name: row.predicate[name] for name in ("action", "verdict", "decided_at")},
        )
        for row in rows
    ]


def _today(asked: Asked) -> str:
    return asked.runtime.clock().date().isoformat()
