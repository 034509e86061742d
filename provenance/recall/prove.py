"""Prove that a recall's list is complete: make it again from the entries alone, and compare.

The index tables that the list was read from could have been wrong. So every entry below the log size is read, its hash goes
into the tree, and the tree's root must be the one that the recall names; the index is built anew from these entries in a
database of its own, and the same walk over it must give the same list, to the byte.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlmodel import Session, SQLModel

from provenance.attestation.envelope import parse_entry
from provenance.attestation.statement import Statement
from provenance.canonical import canonical_bytes, parse_digest, sha256_digest
from provenance.errors import DigestMismatchError, NotFoundError
from provenance.ledger.merkle import RightEdge, leaf_hash
from provenance.recall.reached import find_reach
from provenance.recall.source import find_start
from provenance.store.index import INDEX_TABLES, index_entries
from provenance.store.log import get_head, iterate_entries
from provenance.store.recalls import Logged
from provenance.store.session import make_engine, write_session
from provenance.store.tables import LogHead

GROUP_ENTRIES = 5_000


def prove_reach(log: Session, logged: Logged) -> dict[str, Any]:
    """Make the reach of a recall again, and compare it with what was frozen.

    Returns:
        `complete` (true), `log_size`, `root`, `reach_digest` and the `counts`.

    Raises:
        NotFoundError: the frozen list is not stored any more.
        DigestMismatchError: the entries have another root, or give another list; the message names what differs.
    """
    said = logged.entries[0].predicate
    if logged.reach is None:
        raise NotFoundError(f"the list of recall {logged.recall.id} is not stored any more")
    with tempfile.TemporaryDirectory(prefix="provenance-recall-") as folder:
        engine = make_engine(f"sqlite:///{Path(folder) / 'index.db'}")
        try:
            kinds: tuple[type[SQLModel], ...] = (*INDEX_TABLES, LogHead)
            tables = [SQLModel.metadata.tables[_name(kind)] for kind in kinds]
            SQLModel.metadata.create_all(engine, tables=tables)
            with write_session(engine) as session:
                root = _index(log, session, said["log_size"])
                _compare("root", root, said["root"])
                _add_head(session, get_head(log), said["log_size"], root)
                start = find_start(session, said["source"], log, said["log_size"])
                again = find_reach(session, start, said["log_size"])
        finally:
            engine.dispose()
    frozen = {name: value for name, value in logged.reach.items() if name != "acts"}
    if differing := [
        name for name, value in again.items() if canonical_bytes(value) != canonical_bytes(frozen.get(name))
    ]:
        problems = "; ".join(_differs(name, again[name], frozen.get(name)) for name in differing)
        raise DigestMismatchError(f"the list of recall {logged.recall.id} is not what the entries give: {problems}")
    digest = sha256_digest(canonical_bytes(again))
    _compare("reach_digest", digest, said["reach_digest"])
    return {
        "complete": True,
        "log_size": said["log_size"],
        "root": root,
        "reach_digest": digest,
        "counts": again["counts"],
    }


def _add_head(session: Session, head: LogHead, size: int, root: str) -> None:
    """The head of the log at that size, by which the lineage knows how far it goes."""
    old = LogHead(id=head.id, origin=head.origin, size=size, root=parse_digest(root), checkpoint="", updated_at="")
    session.add(old)
    session.flush()


def _name(kind: type[SQLModel]) -> str:
    return str(kind.__tablename__)


def _index(log: Session, session: Session, size: int) -> str:
    """Index the entries below `size` anew; the answer is their root."""
    edge, first = RightEdge(), 0
    group: list[Statement] = []
    leaves: list[bytes] = []
    for index, entry in iterate_entries(log, 0, size):
        group.append(parse_entry(entry))
        leaves.append(leaf_hash(entry))
        if len(group) >= GROUP_ENTRIES and group[-1].kind != "sample":  # never between samples and their batch
            index_entries(session, first, group)
            session.flush()
            session.expunge_all()
            edge.extend(leaves)
            first, group, leaves = index + 1, [], []
    index_entries(session, first, group)
    session.flush()
    edge.extend(leaves)
    return f"sha256:{edge.root().hex()}"


def _compare(name: str, found: Any, expected: Any) -> None:
    if canonical_bytes(found) != canonical_bytes(expected):
        raise DigestMismatchError(_differs(name, found, expected))


def _differs(name: str, found: Any, expected: Any) -> str:
    return f"{name}: the entries give {_show(found)}, frozen was {_show(expected)}"


def _show(value: Any) -> str:
    if isinstance(value, list):
        named = [item.get("id") or item.get("digest") for item in value if isinstance(item, Mapping)]
        return f"{len(value)} ({', '.join(str(name) for name in named[:5])}{', ...' if len(named) > 5 else ''})"
    return str(value)
