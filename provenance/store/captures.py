"""Queries over captures: generation runs. A capture's newest statement says all of it."""

from __future__ import annotations

from sqlalchemy import func
from sqlmodel import Session, col, select

from provenance.store.tables import StatementRow


def list_captures(session: Session, *, limit: int = 100, before: int | None = None) -> list[StatementRow]:
    """The newest statement of each capture, newest first."""
    newest = select(func.max(StatementRow.index)).where(StatementRow.kind == "capture")
    query = select(StatementRow).where(
        StatementRow.kind == "capture", col(StatementRow.index).in_(newest.group_by(col(StatementRow.key)))
    )
    if before is not None:
        query = query.where(StatementRow.index < before)
    return list(session.exec(query.order_by(col(StatementRow.index).desc()).limit(limit)).all())


def count_samples(session: Session, identifier: str) -> int:
    """How many samples were recorded under a capture, by its batches."""
    named = col(StatementRow.predicate)["capture"].as_string() == identifier
    total = func.sum(col(StatementRow.predicate)["count"].as_integer())
    return int(session.exec(select(total).where(StatementRow.kind == "batch", named)).one() or 0)
