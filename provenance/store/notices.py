"""The outbox: messages that must reach somebody, kept until they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session, col, select

from provenance.canonical import sha256_digest
from provenance.store.tables import Notice

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given-up"


def add_notices(session: Session, recall: str, addresses: Sequence[str], body: Mapping[str, Any], *, now: str) -> None:
    """Put one message for each address into the outbox; what is there already stays. The caller commits."""
    for address in addresses:
        identifier = f"not_{sha256_digest(f'{recall} {address}'.encode()).removeprefix('sha256:')[:16]}"
        if session.get(Notice, identifier) is None:
            session.add(
                Notice(
                    id=identifier,
                    recall=recall,
                    address=address,
                    body=dict(body),
                    state=WAITING,
                    next_at=now,
                    created_at=now,
                )
            )


def claim_due(session: Session, *, now: str, until: str, limit: int = 20) -> list[dict[str, Any]]:
    """Messages that may be tried now, as values, the one that has waited longest first; nobody else gets them before
    `until`. The caller commits in a write session, so each is claimed once."""
    query = select(Notice).where(Notice.state == WAITING, Notice.next_at <= now)
    rows = session.exec(query.order_by(col(Notice.next_at), col(Notice.id)).limit(limit).with_for_update()).all()
    for row in rows:
        row.next_at = until
        session.add(row)
    return [row.model_dump() for row in rows]


def list_notices(session: Session, recall: str) -> list[Notice]:
    """The messages of one recall, by address."""
    query = select(Notice).where(Notice.recall == recall)
    return list(session.exec(query.order_by(col(Notice.address))).all())
