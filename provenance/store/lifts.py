"""Queries over agreements and exceptions. Each act on one is a statement under the id of the first.

- An agreement's newest statement says all of it: its terms, and whether it was revoked.
- An exception is folded from its steps (`policy.exception`); here they are only found.
- What has ended is left out in the database: a gate reads what is in force, however long the history is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func
from sqlmodel import Session, col, select

from provenance.store.log import MAX_INDEX
from provenance.store.tables import StatementRow

MAX_USES = 100


def list_current_agreements(session: Session, day: str, log_size: int | None = None) -> list[StatementRow]:
    """The agreements that are in force on `day` (YYYY-MM-DD) by the first `log_size` entries, oldest first."""
    ends = _text("valid_to")
    query = (
        select(StatementRow)
        .where(StatementRow.kind == "agreement", col(StatementRow.index).in_(_newest("agreement", log_size)))
        .where(_text("step") == "made", _text("valid_from") <= day, ends.is_(None) | (ends >= day))
        .order_by(col(StatementRow.index))
    )
    return list(session.exec(query).all())


def list_current_steps(session: Session, day: str, log_size: int | None = None) -> list[StatementRow]:
    """The steps of every exception that had not expired on `day`: by exception, each in the order of the log."""
    requests = select(StatementRow.key).where(
        StatementRow.kind == "exception", _text("step") == "request", _text("expires_on") >= day
    )
    query = (
        select(StatementRow)
        .where(StatementRow.kind == "exception", col(StatementRow.key).in_(requests))
        .where(StatementRow.index < _size(log_size))
        .order_by(col(StatementRow.key), col(StatementRow.index))
    )
    return list(session.exec(query).all())


def list_agreements(session: Session, *, limit: int = 100, before: int | None = None) -> list[StatementRow]:
    """The newest statement of each agreement, newest first."""
    query = select(StatementRow).where(
        StatementRow.kind == "agreement", col(StatementRow.index).in_(_newest("agreement", None))
    )
    if before is not None:
        query = query.where(StatementRow.index < before)
    return list(session.exec(query.order_by(col(StatementRow.index).desc()).limit(limit)).all())


def list_requests(session: Session, *, limit: int = 100, before: int | None = None) -> list[StatementRow]:
    """The requests of exceptions, newest first."""
    query = select(StatementRow).where(StatementRow.kind == "exception", _text("step") == "request")
    if before is not None:
        query = query.where(StatementRow.index < before)
    return list(session.exec(query.order_by(col(StatementRow.index).desc()).limit(limit)).all())


def list_steps(session: Session, kind: str, key: str) -> list[StatementRow]:
    """All statements of one agreement, exception or capture, in the order of the log."""
    query = select(StatementRow).where(StatementRow.kind == kind, StatementRow.key == key)
    return list(session.exec(query.order_by(col(StatementRow.index))).all())


def list_histories(session: Session, kind: str, keys: Sequence[str]) -> dict[str, list[StatementRow]]:
    """All statements about each of these, in one query: by key in the order given, each in the order of the log."""
    query = select(StatementRow).where(StatementRow.kind == kind, col(StatementRow.key).in_(keys))
    found: dict[str, list[StatementRow]] = {key: [] for key in keys}
    for row in session.exec(query.order_by(col(StatementRow.index))):
        found[row.key].append(row)
    return found


def list_uses(session: Session, field: str, identifier: str) -> list[StatementRow]:
    """The newest decisions that name `identifier` among their `field` (agreements or exceptions)."""
    mentioned = cast(col(StatementRow.predicate), Text).contains(identifier, autoescape=True)
    query = select(StatementRow).where(StatementRow.kind == "decision", mentioned)
    rows = session.exec(query.order_by(col(StatementRow.index).desc()).limit(MAX_USES)).all()
    return [row for row in rows if identifier in row.predicate.get(field, ())]


def _newest(kind: str, log_size: int | None) -> Any:
    query = select(func.max(StatementRow.index)).where(StatementRow.kind == kind, StatementRow.index < _size(log_size))
    return query.group_by(col(StatementRow.key))


def _size(log_size: int | None) -> int:
    return MAX_INDEX if log_size is None else log_size


def _text(field: str) -> ColumnElement[str]:
    found: ColumnElement[str] = col(StatementRow.predicate)[field].as_string()
    return found
