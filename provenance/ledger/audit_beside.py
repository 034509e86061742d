"""Check what is kept beside governance statements: each must be what its statement commits to.

 9. Texts: what lies beside the statements that commit to a text, a source, an answer or a list has the digest that was
    signed, and is there.

Segments that begin with a sample hold nothing of the kind, so only their first frame is read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import zstandard
from sqlalchemy import func
from sqlmodel import Session, col, select

from provenance.attestation.envelope import parse_entry
from provenance.attestation.statement import Statement
from provenance.errors import ProvenanceError
from provenance.ledger.audit import MAX_GAP
from provenance.ledger.findings import Audit
from provenance.store.segment import count_items, read_item
from provenance.store.tables import ContentSegment, EntrySegment

CheckBeside = Callable[[str, Mapping[str, Any], Any], None]
FIRST_BYTES = 1 << 16  # of a segment; holds its first frame, as a rule
_UNREADABLE = (
    zstandard.ZstdError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    MemoryError,
)


def audit_beside(session: Session, audit: Audit, check: CheckBeside) -> None:
    """Step 9: `check` is handed kind, predicate and content (None where there is none) of each governance statement.

    It raises what is wrong. Entries that cannot be read are findings of step 2 and are passed over here.
    """
    _check_counts(session, audit)
    for index, statement, item in _governance(session):
        try:
            content = orjson.loads(item) if item else None
            check(statement.kind, statement.predicate, content)
        except (ProvenanceError, *_UNREADABLE) as exc:
            detail = exc.detail if isinstance(exc, ProvenanceError) else f"it cannot be read: {exc}"
            audit.add(9, index, f"beside entry {index} ({statement.kind}): {detail}")


def _check_counts(session: Session, audit: Audit) -> None:
    """What a segment of contents promises is what it holds: a greater number would hide behind the entries' own."""
    first = col(ContentSegment.first_index)
    begin = func.substr(col(ContentSegment.frames), 1, FIRST_BYTES)
    for start, count, beginning in session.exec(select(first, ContentSegment.count, begin).order_by(first)):
        try:
            held: int | str = count_items(beginning)
        except struct.error:
            held = "an unreadable number of"
        if held != count:
            audit.add(9, start, f"the contents at entry {start} promise {count} items and hold {held}")


def _governance(session: Session) -> Iterator[tuple[int, Statement, bytes | None]]:
    """Index, statement and bytes of the content of each entry in segments that begin with no sample."""
    first, count = col(EntrySegment.first_index), col(EntrySegment.count)
    begin = func.substr(col(EntrySegment.frames), 1, FIRST_BYTES)
    for start, number in session.exec(select(first, count).order_by(first)).all():
        beginning = session.exec(select(begin).where(first == start)).one()
        statement = _statement(beginning, 0)
        if statement is not None and statement.kind == "sample":
            continue
        frames = session.exec(select(EntrySegment.frames).where(first == start)).one()
        beside = session.exec(
            select(ContentSegment.frames, ContentSegment.count).where(ContentSegment.first_index == start)
        ).one_or_none()
        for position in range(_held(frames, number)):
            found = _statement(frames, position)
            if found is not None and found.kind != "sample":
                yield start + position, found, _content(beside, position)


def _held(frames: bytes, promised: int) -> int:
    """How many items to look at: a row may promise more than could ever be counted."""
    try:
        return min(promised, count_items(frames), MAX_GAP)
    except struct.error:
        return 0


def _statement(frames: bytes, position: int) -> Statement | None:
    try:
        return parse_entry(read_item(frames, position))
    except (ProvenanceError, *_UNREADABLE):
        return None


def _content(beside: Any, position: int) -> bytes | None:
    if beside is None or position >= beside[1]:
        return None
    try:
        return read_item(beside[0], position)
    except _UNREADABLE:
        return b"\xff"  # unreadable: no JSON, so it fails
