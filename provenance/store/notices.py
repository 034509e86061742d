"""The outbox: what must reach somebody, kept until it did. Notices of recalls, each for itself; events, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from provenance.canonical import sha256_digest
from provenance.store.tables import Notice

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given-up"
AT_ONCE = 20


def add_notices(session: Session, recall: str, addresses: Sequence[str], body: Mapping[str, Any], *, now: str) -> None:
    """Put one message for each address into the outbox; what is there already stays. The caller commits."""
    for address in addresses:
        identifier = f"not_{_short(f'{recall} {address}')}"
        _add(session, identifier, about=recall, address=address, body=dict(body), now=now)


def add_event(
    session: Session, address: str, about: str, body: Mapping[str, Any], *, entry: int, number: int, now: str
) -> None:
    """Put the event `number` that tells of an entry into the outbox; once for each address. The caller commits."""
    identifier = f"evt_{entry:015d}_{number:03d}_{_short(address)}"  # so that ids stand in the order of the log
    _add(session, identifier, about=about, address=address, body=dict(body), entry=entry, now=now)


def _short(text: str) -> str:
    return sha256_digest(text.encode()).removeprefix("sha256:")[:16]


def _add(session: Session, identifier: str, *, now: str, **said: Any) -> None:
    if session.get(Notice, identifier) is None:
        session.add(Notice(id=identifier, **said, state=WAITING, next_at=now, created_at=now))


def claim_due(session: Session, *, now: str, until: str, limit: int = AT_ONCE) -> list[dict[str, Any]]:
    """Notices that may be tried now, as values, the one that has waited longest first; nobody else gets them before
    `until`. The caller commits in a write session, so each is claimed once."""
    query = select(Notice).where(Notice.state == WAITING, col(Notice.entry).is_(None), Notice.next_at <= now)
    rows = session.exec(query.order_by(col(Notice.next_at), col(Notice.id)).limit(limit).with_for_update()).all()
    return _claim(session, rows, until)


def claim_events(session: Session, address: str, *, now: str, until: str, limit: int = AT_ONCE) -> list[dict[str, Any]]:
    """Events that may be tried now, in the order of the log; none while an earlier one rests or is under way."""
    query = select(Notice).where(Notice.state == WAITING, Notice.address == address, col(Notice.entry).is_not(None))
    rows = session.exec(query.order_by(col(Notice.id)).limit(limit).with_for_update()).all()
    due = [] if not rows or rows[0].next_at > now else rows
    return _claim(session, due, until)


def _claim(session: Session, rows: Sequence[Notice], until: str) -> list[dict[str, Any]]:
    for row in rows:
        row.next_at = until
        session.add(row)
    return [row.model_dump() for row in rows]


def release_events(session: Session, identifiers: Sequence[str], *, now: str) -> None:
    """Let events that were claimed and not tried be claimed again. The caller commits."""
    for identifier in identifiers:
        row = session.get_one(Notice, identifier)
        row.next_at = now
        session.add(row)


def list_notices(session: Session, about: str) -> list[Notice]:
    """The messages about one thing, by address."""
    query = select(Notice).where(Notice.about == about)
    return list(session.exec(query.order_by(col(Notice.address), col(Notice.id))).all())


def find_last_entry(session: Session, address: str) -> int | None:
    """The newest entry of which this address is told, or will be; None where it was told nothing yet."""
    query: Any = select(func.max(Notice.entry)).where(Notice.address == address)
    found: int | None = session.exec(query).one()
    return found
