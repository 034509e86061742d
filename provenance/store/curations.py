"""Queries over curations: what was done about texts and data sets beside the samples, by its `kind`."""

from __future__ import annotations

from sqlmodel import Session, col, select

from provenance.store.tables import StatementRow


def list_curations(session: Session, kind: str) -> list[StatementRow]:
    """The newest curation of each id among those of one kind, the newest first."""
    query = select(StatementRow).where(StatementRow.kind == "curation").order_by(col(StatementRow.index).desc())
    newest: dict[str, StatementRow] = {}
    for row in session.exec(query):
        if row.predicate.get("kind") == kind:
            newest.setdefault(row.key, row)
    return list(newest.values())


def find_curation(session: Session, kind: str, key: str) -> StatementRow | None:
    """The newest curation of this kind and id."""
    query = (
        select(StatementRow)
        .where(StatementRow.kind == "curation", StatementRow.key == key)
        .order_by(col(StatementRow.index).desc())
    )
    return next((row for row in session.exec(query) if row.predicate.get("kind") == kind), None)
