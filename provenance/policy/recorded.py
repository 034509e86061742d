"""Packs as the log holds them: which was in force when, rebuilt from the sources kept beside its `policy` statement.

A statement's `state` is `shipped` (it came with the software), `proposed` (somebody wants it) or `approved` (somebody else
agreed). In force is the last that was approved; before the first approval, the last that was shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from provenance.errors import DigestMismatchError, NotFoundError
from provenance.policy.pack import Pack, build_pack
from provenance.store.history import list_history
from provenance.store.log import find_content
from provenance.store.tables import StatementRow

IN_FORCE = ("approved", "shipped")
PROPOSED = "proposed"


@dataclass(frozen=True)
class Chosen:
    """The pack that a service starts with, and whether the log says so already."""

    pack: Pack
    logged: bool


def find_pack_statement(session: Session, log_size: int | None = None) -> StatementRow | None:
    """The statement that put the pack in force which was so at a log size, by default now."""
    rows = list_history(session, ["policy"], log_size)
    for state in IN_FORCE:
        found = [row for row in rows if row.predicate.get("state") == state]
        if found:
            return found[-1]
    return None


def load_recorded_pack(session: Session, log_size: int | None = None) -> Pack:
    """The pack that was in force at a log size, by default now.

    Raises:
        NotFoundError: none was recorded by then, or its sources were erased.
        DigestMismatchError: the sources are not those of its digest.
    """
    row = find_pack_statement(session, log_size)
    if row is None:
        raise NotFoundError(f"no policy was recorded in the first {log_size} entries of the log")
    return read_pack(session, row)


def read_pack(session: Session, row: StatementRow) -> Pack:
    """The pack of a statement, built again from its sources."""
    content = find_content(session, row.index)
    if content is None:
        raise NotFoundError(f"the sources of policy {row.key}, entry {row.index}, are not there any more")
    pack = build_pack(content["rules"], content["schema"])
    if pack.digest != row.predicate["digest"]:
        raise DigestMismatchError(f"the sources of policy {row.key} are not what entry {row.index} says")
    return pack


def choose_pack(session: Session, shipped: Pack) -> Chosen:
    """The pack in force at a start: the last approved one, else the shipped one."""
    row = find_pack_statement(session)
    if row is not None and row.predicate["state"] == "approved":
        return Chosen(read_pack(session, row), logged=True)
    return Chosen(shipped, logged=row is not None and row.predicate["digest"] == shipped.digest)


def policy_predicate(
    pack: Pack, *, state: str, author: str, at: str, approver: str | None = None, **more: Any
) -> dict[str, Any]:
    """What a `policy` statement says."""
    return {
        "id": pack.id,
        "digest": pack.digest,
        "packs": [{"name": name, "digest": digest} for name, digest in pack.packs.items()],
        "state": state,
        "author": author,
        "approver": approver,
        "recorded_at": at,
        **more,
    }
