"""Queries over `curation` statements, which are of several kinds."""

from __future__ import annotations

from sqlmodel import Session, col, select

from provenance.errors import NotFoundError
from provenance.store.log import find_statement
from provenance.store.tables import StatementRow


def list_curations(session: Session, kind: str) -> list[StatementRow]:
    """The curation statements of one kind, newest first."""
    query = select(StatementRow).where(
        StatementRow.kind == "curation", col(StatementRow.predicate)["kind"].as_string() == kind
    )
    return list(session.exec(query.order_by(col(StatementRow.index).desc())).all())


def get_curation(session: Session, kind: str, identifier: str) -> StatementRow:
    """The curation statement of this id, of one kind.

    Raises:
        NotFoundError: none is in the log.
    """
    row = find_statement(session, "curation", identifier)
    if row is None or row.predicate.get("kind") != kind:
        raise NotFoundError(f"there is no curation of kind {kind} {identifier!r} in the log")
    return row
