"""Bearer tokens: only their digests are kept; the token itself is shown once."""

from __future__ import annotations

import hashlib
import secrets

from sqlmodel import Session, col, select

from provenance.errors import ConflictError, FieldError, NotFoundError
from provenance.store.tables import Token

PREFIX = "prv_"
TERMINAL_PREFIX = "terminal-"  # names of tokens that commands make for themselves; they are nobody's in particular


def create_token(session: Session, *, name: str, role: str, now: str, expires_at: str | None) -> tuple[Token, str]:
    """Add a token; the second part of the answer is the secret itself.

    Raises:
        ConflictError: a token of this name is in use.
    """
    used = session.exec(select(Token).where(Token.name == name, col(Token.revoked_at).is_(None))).first()
    if used is not None and (used.expires_at is None or used.expires_at > now):
        expected = "a name that no token in use has"
        raise ConflictError(f"there is a token named {name!r} already", FieldError("name", name, expected))
    secret = PREFIX + secrets.token_urlsafe(32)
    row = Token(
        id=f"tok_{secrets.token_hex(6)}",
        name=name,
        role=role,
        digest=_digest(secret),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, secret


def find_token(session: Session, secret: str, now: str) -> Token | None:
    """The token that `secret` is, if it may be used at `now`."""
    row = session.exec(select(Token).where(Token.digest == _digest(secret))).first()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return row


def list_tokens(session: Session) -> list[Token]:
    """All tokens, oldest first."""
    return list(session.exec(select(Token).order_by(col(Token.created_at), col(Token.id))).all())


def revoke_token(session: Session, name: str, now: str) -> Token:
    """Revoke the token of this name or id.

    Raises:
        NotFoundError: there is none in use.
    """
    query = select(Token).where((Token.name == name) | (Token.id == name), col(Token.revoked_at).is_(None))
    row = session.exec(query).first()
    if row is None:
        raise NotFoundError(f"there is no token {name!r} in use")
    row.revoked_at = now
    session.add(row)
    session.flush()
    return row


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
