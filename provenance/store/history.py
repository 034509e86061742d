"""Statements in the order in which they were recorded, as far as the log was known at a size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from provenance.store.tables import StatementRow


def list_history(session: Session, kinds: Sequence[str], log_size: int | None = None) -> list[StatementRow]:
    """All statements of these kinds, oldest first; with `log_size`, those that the log of that size held."""
    query = select(StatementRow).where(col(StatementRow.kind).in_(kinds))
    if log_size is not None:
        query = query.where(StatementRow.index < log_size)
    return list(session.exec(query.order_by(col(StatementRow.index))).all())


def list_after(session: Session, kinds: Sequence[str], index: int, *, limit: int) -> list[StatementRow]:
    """The first statements of these kinds behind an index, oldest first."""
    query = select(StatementRow).where(col(StatementRow.kind).in_(kinds), StatementRow.index > index)
    return list(session.exec(query.order_by(col(StatementRow.index)).limit(limit)).all())


def list_newest(session: Session, kind: str, log_size: int | None = None) -> dict[str, StatementRow]:
    """The newest statement of each key of a kind, in the order in which the keys first came."""
    return {row.key: row for row in list_history(session, [kind], log_size)}


def find_newest(session: Session, kind: str, key: str, log_size: int | None = None) -> StatementRow | None:
    """The newest statement of a kind with this key; with `log_size`, of those that the log of that size held."""
    query = select(StatementRow).where(StatementRow.kind == kind, StatementRow.key == key)
    if log_size is not None:
        query = query.where(StatementRow.index < log_size)
    return session.exec(query.order_by(col(StatementRow.index).desc()).limit(1)).first()


def find_newest_index(session: Session, kinds: Sequence[str]) -> int | None:
    """The index of the newest statement of these kinds; None when there is none."""
    query: Any = select(func.max(StatementRow.index)).where(col(StatementRow.kind).in_(kinds))
    found: int | None = session.exec(query).one()
    return found


def iterate_history(session: Session, kind: str, *, only: frozenset[int] | None = None) -> Iterator[StatementRow]:
    """Statements of a kind, oldest first and one at a time; with `only`, those at these indices."""
    indices = session.exec(
        select(StatementRow.index).where(StatementRow.kind == kind).order_by(col(StatementRow.index))
    )
    for index in indices.all():
        if only is None or index in only:
            row = session.get_one(StatementRow, index)
            yield row
            session.expunge(row)


def find_statement_of(session: Session, kind: str, key: str, *, digest: str) -> StatementRow | None:
    """The newest statement of a kind and key that carries this digest."""
    query = select(StatementRow).where(StatementRow.kind == kind, StatementRow.key == key)
    rows = session.exec(query.order_by(col(StatementRow.index).desc()))
    return next(
        (row for row in rows if digest in (row.predicate.get("digest"), row.predicate.get("document_digest"))), None
    )
