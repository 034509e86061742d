"""The erasable words beside the log: take them out of their segments, and out of the database's files.

Order of use: `list_segments` -> `erase_segment` for each, in transactions of their own -> `forget_requests` ->
`compact_database` once all of it is committed. Every step is safe to repeat.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any

from sqlalchemy import Engine, func, text, update
from sqlmodel import Session, col, select

from provenance.errors import UnavailableError
from provenance.store.ranges import IndexSet
from provenance.store.segment import empty_items
from provenance.store.tables import ContentSegment, Idempotency

FORGOTTEN = "erased"
REWRITTEN_TABLES = "content_segment, idempotency"
CHECKPOINT_SECONDS, PAUSE_SECONDS = 600.0, 1.0
BUSY_MILLISECONDS = 1_000  # of waiting for readers at a time: writers wait too meanwhile


def list_segments(session: Session, erased: IndexSet) -> list[int]:
    """First indices of the content segments that hold any of `erased`."""
    found: dict[int, None] = {}
    start, last = col(ContentSegment.first_index), -1
    for low, high in erased.runs:
        # Segments hold many neighbours, so most runs lie in the one that was just found.
        if high <= last:
            continue
        before = session.exec(select(func.max(start)).where(start <= low)).one()
        query = select(start, col(ContentSegment.count)).where(start >= (before or 0), start <= high).order_by(start)
        for first, count in session.exec(query).all():
            if first + count > low:
                found[first] = None
                last = first + count - 1
    return list(found)


def erase_segment(session: Session, first_index: int, erased: IndexSet) -> int:
    """Empty the items of one segment that are in `erased`; how many these are. The caller commits."""
    row = session.get_one(ContentSegment, first_index, with_for_update=True, populate_existing=True)
    gone = erased.within(first_index, first_index + row.count - 1)
    if gone:
        row.frames = empty_items(row.frames, (index - first_index for index in gone))
        session.add(row)
        session.flush()
    return len(gone)


def forget_requests(session: Session, erased: IndexSet) -> int:
    """Forget what the requests that brought these samples said: their digests are of the bare text, which can be guessed.

    The rows stay, so a pipeline that sends such a request again is refused and the text does not come back.
    """
    first, count = col(Idempotency.body)["first_index"].as_integer(), col(Idempotency.body)["count"].as_integer()
    rows = session.execute(select(Idempotency.key, first, count).where(first <= max(erased, default=-1))).all()
    touched = [key for key, low, many in rows if low is not None and erased.within(low, low + many - 1)]
    for start in range(0, len(touched), 500):
        keys = touched[start : start + 500]
        session.execute(update(Idempotency).where(col(Idempotency.key).in_(keys)).values(request_digest=FORGOTTEN))
    return len(touched)


def compact_database(engine: Engine) -> None:
    """Write the database anew, so that no page, dead row or write-ahead log holds what was erased.

    SQLite: `secure_delete` overwrites what our connections free, VACUUM drops what others freed without it, and a checkpoint
    empties the write-ahead log; writers wait meanwhile. PostgreSQL: VACUUM FULL writes new files and drops the old ones; its
    write-ahead log keeps what it holds until it is recycled, see the README.

    Raises:
        UnavailableError: readers hold the old state for too long, or the disk has no room for the copy.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"VACUUM FULL {REWRITTEN_TABLES}"))
        return
    with closing(engine.raw_connection()) as pooled:
        raw: Any = pooled.driver_connection
        try:
            raw.execute("VACUUM")
        except sqlite3.OperationalError as exc:
            raise UnavailableError(
                f"the database could not be written anew (it needs room for a copy of itself): {exc}; the words are out of its "
                "tables, not yet out of its files"
            ) from exc
        (patience,) = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        try:
            _empty_write_ahead_log(raw)
        finally:
            raw.execute(f"PRAGMA busy_timeout = {patience}")


def _empty_write_ahead_log(raw: Any) -> None:
    deadline = time.monotonic() + CHECKPOINT_SECONDS
    while (answer := raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())[0]:
        if time.monotonic() >= deadline:
            raise UnavailableError(
                f"readers kept {answer[1]} pages of the database's write-ahead log for {CHECKPOINT_SECONDS:.0f} s; the words "
                "are out of its tables, not yet out of its files"
            )
        time.sleep(PAUSE_SECONDS)
