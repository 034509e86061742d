"""What routes ask for: the runtime, a read session, the actor who asks, an Idempotency-Key.

What only looks at values is `async`: a plain function would be handed to a thread, which costs more than it does itself.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request
from sqlmodel import Session

from provenance.errors import AuthenticationError, FieldError, ForbiddenError, MalformedError
from provenance.ledger.append import format_time
from provenance.runtime import Runtime
from provenance.store.session import read_session
from provenance.store.tokens import TERMINAL_PREFIX, find_token

ROLES: dict[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "auditor": frozenset({"read"}),
    "collector": frozenset({"read", "capture"}),
    "engineer": frozenset({"read", "capture", "release", "train", "report"}),
    "compliance": frozenset({"read", "release", "report", "govern"}),
    "counsel": frozenset({"read", "report", "govern"}),
    "admin": frozenset({"read", "capture", "release", "train", "report", "govern", "admin"}),
}


@dataclass(frozen=True)
class Actor:
    """Who asks: a token's name and what its role may do."""

    name: str
    role: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Refuse when the role does not hold `scope`.

        Raises:
            ForbiddenError: names the roles that do.
        """
        if scope not in self.scopes:
            able = ", ".join(role for role, scopes in ROLES.items() if scope in scopes)
            raise ForbiddenError(f"the role {self.role} may not {scope}; these may: {able}")

    def require_person(self, act: str) -> None:
        """Refuse the passing token of a command that works embedded: nobody can tell whose hands are at that terminal.

        Raises:
            ForbiddenError: says what to do instead.
        """
        if self.name.startswith(TERMINAL_PREFIX):
            raise ForbiddenError(
                f"to {act} needs the token of a named person, as its two approvers must differ from each other and from "
                "whoever asked; a command without PROVENANCE_TOKEN speaks for whoever sits at the terminal. Make one for "
                "each person (`provenance token create --name NAME --role ROLE`) and set PROVENANCE_TOKEN"
            )


def get_runtime(request: Request) -> Runtime:
    """The runtime that the application was started with, with what is in force now."""
    runtime: Runtime = request.app.state.runtime
    runtime.refresh()
    return runtime


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]


def get_session(runtime: RuntimeDep) -> Iterator[Session]:
    """A read session over one snapshot, for the length of a request."""
    with read_session(runtime.engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


def find_actor(request: Request, runtime: RuntimeDep) -> Actor | None:
    """The actor of a bearer token, or None when none was sent.

    In a session of its own: one that lived as long as the request would hold a database connection while the request waits
    for the writer, and the writer needs one too.

    Raises:
        AuthenticationError: the token is unknown, expired or revoked.
    """
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if not header:
        return None
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationError("Authorization: expected `Bearer TOKEN`")
    with read_session(runtime.engine) as session:
        row = find_token(session, token.strip(), format_time(runtime.clock()))
        if row is None:
            raise AuthenticationError("the token is unknown, expired or revoked")
        return Actor(row.name, row.role, ROLES[row.role])


def require_reader(request: Request, runtime: RuntimeDep, actor: Annotated[Actor | None, Depends(find_actor)]) -> Actor:
    """Reads: a token, or anybody in single-user mode on loopback, seen under a loopback Host.

    Raises:
        AuthenticationError: neither.
    """
    if actor is not None:
        actor.require("read")
        return actor
    if runtime.settings.single_user and _is_loopback(request):
        return Actor("local", "viewer", ROLES["viewer"])
    raise AuthenticationError("reading needs a token: `Authorization: Bearer TOKEN`")


def check_writer(actor: Actor | None) -> Actor:
    """Writes: a token, always.

    Raises:
        AuthenticationError: none was sent.
    """
    if actor is None:
        raise AuthenticationError("writing needs a token: `Authorization: Bearer TOKEN` (`provenance token create`)")
    return actor


async def require_writer(actor: Annotated[Actor | None, Depends(find_actor)]) -> Actor:
    """`check_writer` of whoever asks."""
    return check_writer(actor)


def _is_loopback(request: Request) -> bool:
    # The Host header is checked too: a web page elsewhere must not read this by a name that resolves to 127.0.0.1.
    peer = request.client.host if request.client else ""
    try:
        named = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:  # brackets that do not close
        return False
    return _is_loopback_name(peer) and _is_loopback_name(named)


def _is_loopback_name(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


ReaderDep = Annotated[Actor, Depends(require_reader)]
WriterDep = Annotated[Actor, Depends(require_writer)]


async def get_idempotency_key(idempotency_key: Annotated[str | None, Header()] = None) -> str | None:
    """The request's Idempotency-Key.

    Raises:
        MalformedError: longer than 200 characters, or not printable ASCII.
    """
    if idempotency_key is None:
        return None
    if not (0 < len(idempotency_key) <= 200 and idempotency_key.isascii() and idempotency_key.isprintable()):
        expected = "1 to 200 printable ASCII characters"
        raise MalformedError(
            f"Idempotency-Key: expected {expected}", FieldError("Idempotency-Key", idempotency_key, expected)
        )
    return idempotency_key


IdempotencyDep = Annotated[str | None, Depends(get_idempotency_key)]


def make_id(prefix: str, idempotency_key: str | None) -> str:
    """A new id; the same Idempotency-Key makes the same id, so that what it names is made once."""
    if idempotency_key is None:
        return f"{prefix}_{secrets.token_hex(8)}"
    return f"{prefix}_{hashlib.sha256(f'{prefix}:{idempotency_key}'.encode()).hexdigest()[:16]}"
