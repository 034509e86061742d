"""Queries over the log tables: head, tiles, entries, content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import func
from sqlmodel import Session, col, select

from provenance.attestation.envelope import parse_entry
from provenance.attestation.statement import Statement
from provenance.errors import NotFoundError
from provenance.store.segment import read_item, unpack_segment
from provenance.store.tables import ContentSegment, EntrySegment, LogHead, LogTile, StatementRow

HEAD_ID = 1
HASH_BYTES = 32
ENTRIES_AT_ONCE = 256  # that are read by one query, or one segment where it holds more
MAX_INDEX = 2**63 - 1  # what a column holds; a greater one in a request is an entry that is not there


_FIND_HEAD = select(LogHead).where(LogHead.id == HEAD_ID)
_LOCK_HEAD = _FIND_HEAD.with_for_update().execution_options(populate_existing=True)


def find_head(session: Session, *, lock: bool = False) -> LogHead | None:
    """The head row; with `lock`, nobody else can move it until this session ends (SQLite locks the whole file)."""
    return session.exec(_LOCK_HEAD if lock else _FIND_HEAD).one_or_none()


def get_head(session: Session) -> LogHead:
    """The head row.

    Raises:
        NotFoundError: no log was created here yet.
    """
    head = find_head(session)
    if head is None:
        raise NotFoundError("there is no log here yet; `provenance serve` creates one")
    return head


def find_tile(session: Session, level: int, number: int) -> bytes | None:
    """The hashes of one tile as far as it is filled, joined."""
    row = session.get(LogTile, (level, number))
    return row.hashes if row else None


def load_tile(session: Session, level: int, number: int, width: int) -> bytes:
    """The first `width` hashes of a tile, joined.

    Raises:
        NotFoundError: the log has not filled the tile that far.
    """
    hashes = find_tile(session, level, number)
    if hashes is None or len(hashes) < width * HASH_BYTES:
        raise NotFoundError(f"tile {level}/{number} does not hold {width} hashes yet")
    return hashes[: width * HASH_BYTES]


def read_entry(session: Session, index: int) -> bytes:
    """The bytes of one entry.

    Raises:
        NotFoundError: the log is not that long.
    """
    row = _segment(session, EntrySegment, index)
    if row is None or index >= row.first_index + row.count:
        raise NotFoundError(f"there is no entry {index}")
    return read_item(row.frames, index - row.first_index)


def read_statement(session: Session, index: int) -> Statement:
    """The statement of one entry, unwrapped if it is an envelope."""
    return parse_entry(read_entry(session, index))


def iterate_entries(session: Session, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Entries `start .. stop-1` in order; in memory is one segment at a time, or some that are small."""
    first = session.exec(select(func.max(EntrySegment.first_index)).where(EntrySegment.first_index <= start)).one() or 0
    last = get_head(session).size if stop is None else stop
    number, frames = col(EntrySegment.first_index), col(EntrySegment.frames)
    query = select(number, EntrySegment.count).where(number >= first, number < last).order_by(number)
    for begin, end in _read_at_once(session.exec(query).all()):
        rows = session.exec(select(number, frames).where(number >= begin, number <= end).order_by(number)).all()
        for segment_start, packed in rows:
            for index, entry in enumerate(unpack_segment(packed), segment_start):
                if start <= index < last:
                    yield index, entry


def _read_at_once(segments: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First index of the first and of the last segment of each query: appends of single entries make many of them."""
    begin, entries = None, 0
    for position, (number, count) in enumerate(segments):
        begin, entries = number if begin is None else begin, entries + max(1, count)
        if entries >= ENTRIES_AT_ONCE or position == len(segments) - 1:
            yield begin, number
            begin, entries = None, 0


def find_content(session: Session, index: int) -> dict[str, Any] | None:
    """The erasable words of an entry (`prompt`, `completion` and their salts in hex), or None when it has none."""
    row = _segment(session, ContentSegment, index)
    if row is None or index >= row.first_index + row.count:
        return None
    item = read_item(row.frames, index - row.first_index)
    return orjson.loads(item) if item else None


def load_contents(session: Session, indices: Sequence[int]) -> dict[int, dict[str, Any] | None]:
    """The words of many entries at once, None where there are none. `indices` ascend."""
    found = _load_items(session, ContentSegment, indices)
    return {index: orjson.loads(item) if item else None for index, item in found}


def load_entries(session: Session, indices: Sequence[int]) -> dict[int, bytes]:
    """The bytes of many entries at once. `indices` ascend.

    Raises:
        NotFoundError: the log is not that long.
    """
    found = dict(_load_items(session, EntrySegment, indices))
    entries = {index: entry for index, entry in found.items() if entry is not None}
    for index in found.keys() - entries.keys():
        raise NotFoundError(f"there is no entry {index}")
    return entries


def _load_items(session: Session, table: type[Any], indices: Sequence[int]) -> Iterator[tuple[int, bytes | None]]:
    """Items of segments; each segment is read and unpacked once, and one is in memory at a time."""
    start, end = 0, 0
    items: list[bytes] = []
    for index in indices:
        if not start <= index < end:
            row = _segment(session, table, index)
            if row is None or index >= row.first_index + row.count:
                yield index, None
                continue
            start, end, items = row.first_index, row.first_index + row.count, unpack_segment(row.frames)
            session.expunge(row)
        yield index, items[index - start]


def _segment(session: Session, table: type[Any], index: int) -> Any:
    query = select(table).where(table.first_index <= min(index, MAX_INDEX)).order_by(table.first_index.desc()).limit(1)
    return session.exec(query).first()


def find_statement(session: Session, kind: str, key: str) -> StatementRow | None:
    """The newest statement of `kind` with this key."""
    query = (
        select(StatementRow)
        .where(StatementRow.kind == kind, StatementRow.key == key)
        .order_by(col(StatementRow.index).desc())
        .limit(1)
    )
    return session.exec(query).first()


def get_statement(session: Session, kind: str, key: str) -> StatementRow:
    """The newest statement of `kind` with this key.

    Raises:
        NotFoundError: none is in the log.
    """
    row = find_statement(session, kind, key)
    if row is None:
        raise NotFoundError(f"there is no {kind} {key!r} in the log")
    return row


def list_statements(session: Session, kind: str, *, limit: int = 100, before: int | None = None) -> list[StatementRow]:
    """Statements of one kind, newest first."""
    query = select(StatementRow).where(StatementRow.kind == kind)
    if before is not None:
        query = query.where(StatementRow.index < before)
    return list(session.exec(query.order_by(col(StatementRow.index).desc()).limit(limit)).all())
