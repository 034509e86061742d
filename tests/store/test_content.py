"""Erased words leave no byte behind in the database's own files, whatever its pages went through before."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from provenance.errors import UnavailableError
from provenance.store import content
from provenance.store.content import FORGOTTEN, compact_database, erase_segment, forget_requests, list_segments
from provenance.store.ranges import IndexSet, fold_indices
from provenance.store.segment import pack_segment, unpack_segment
from provenance.store.session import make_engine, read_session, write_session
from provenance.store.tables import ContentSegment, Idempotency

ITEM_BYTES = 120
PIECE = 24


def fill(engine: Engine, counts: Sequence[int], seed: int = 1) -> dict[int, bytes]:
    """Segments of these sizes, a gap between them; the words are random, so they stand in the file bare."""
    made: dict[int, bytes] = {}
    chance, first = random.Random(seed), 3  # noqa: S311 - no secret
    for count in counts:
        items = [chance.randbytes(ITEM_BYTES) for _ in range(count)]
        with write_session(engine) as session:
            session.add(ContentSegment(first_index=first, count=count, frames=pack_segment(items)))
        made |= dict(enumerate(items, first))
        first += count + 2
    return made


def erase(engine: Engine, indices: IndexSet) -> int:
    with read_session(engine) as session:
        segments = list_segments(session, indices)
    total = 0
    for first_index in segments:
        with write_session(engine) as session:
            total += erase_segment(session, first_index, indices)
    return total


def stored(engine: Engine) -> dict[int, bytes]:
    with read_session(engine) as session:
        rows = session.exec(select(ContentSegment)).all()
        return {row.first_index + at: item for row in rows for at, item in enumerate(unpack_segment(row.frames))}


def pieces_in_files(engine: Engine, item: bytes) -> list[str]:
    path = Path(str(engine.url.database))
    pieces = [item[start : start + PIECE] for start in range(0, ITEM_BYTES, PIECE)]
    files = [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]
    return [file.name for file in files if file.exists() for piece in pieces if piece in file.read_bytes()]


def test_only_the_chosen_items_become_empty(engine: Engine) -> None:
    made = fill(engine, [1, 200, 3, 70, 1])
    gone = fold_indices([3, 6, 7, 100, 205, 208, 213, 282, 999, 0])
    expected = [index for index in gone if index in made]
    assert erase(engine, gone) == len(expected)
    assert stored(engine) == made | dict.fromkeys(expected, b"")
    assert erase(engine, gone) == len(expected)  # again is harmless
    assert stored(engine) == made | dict.fromkeys(expected, b"")


def test_no_byte_of_them_is_left_in_the_files_of_sqlite(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    made = fill(engine, [1] * 120 + [40] * 6 + [3] * 60 + [300])
    chance = random.Random(2)  # noqa: S311 - no secret
    assert all(pieces_in_files(engine, item) for item in list(made.values())[::50])  # the search does find them
    gone: set[int] = set()
    for _ in range(4):  # pages split, merge and free their cells, again and again
        chosen = chance.sample(sorted(made.keys() - gone), 60)
        erase(engine, fold_indices(chosen))
        gone.update(chosen)
    compact_database(engine)
    assert [index for index in sorted(gone) if pieces_in_files(engine, made[index])] == []
    assert stored(engine) == made | dict.fromkeys(gone, b"")
    engine.dispose()


def test_what_another_program_freed_without_overwriting_it_goes_too(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    made = fill(engine, [1] * 60 + [200])
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as foreign:
        foreign.execute("PRAGMA secure_delete = OFF")
        foreign.execute("UPDATE content_segment SET frames = ?", (pack_segment([b""]),))
        foreign.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert [index for index in made if pieces_in_files(engine, made[index])]
    compact_database(engine)
    assert [index for index in made if pieces_in_files(engine, made[index])] == []
    engine.dispose()


def test_what_keeps_the_database_from_being_written_anew_is_named(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    fill(engine, [300])
    with closing(engine.raw_connection()) as pooled:
        pooled.driver_connection.execute("PRAGMA busy_timeout = 50")  # type: ignore[union-attr]  # sqlite3's own
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="could not be written anew"):
            compact_database(engine)
    engine.dispose()


def test_a_reader_of_the_old_state_is_waited_for_and_then_named(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(sqlite_url)
    fill(engine, [5])
    with read_session(engine) as reader:
        reader.exec(select(ContentSegment)).all()
        monkeypatch.setattr(content, "CHECKPOINT_SECONDS", 0.2)
        monkeypatch.setattr(content, "BUSY_MILLISECONDS", 50)
        with pytest.raises(UnavailableError, match="readers kept"):
            compact_database(engine)
        monkeypatch.setattr(content, "CHECKPOINT_SECONDS", 60.0)
        waiting = threading.Thread(target=compact_database, args=(engine,))
        waiting.start()
    waiting.join(timeout=30)
    assert not waiting.is_alive()
    engine.dispose()


def test_what_the_request_said_is_forgotten_with_any_of_its_samples(engine: Engine) -> None:
    with write_session(engine) as session:
        for key, first, count in (("a", 0, 5), ("b", 5, 5), ("c", 10, 1), ("d", 11, 4)):
            body = {"first_index": first, "count": count, "tree_size": 20, "checkpoint": ""}
            row = Idempotency(key=key, request_digest="sha256:x", status=201, body=body, created_at="")
            session.add(row)
    with write_session(engine) as session:
        assert forget_requests(session, fold_indices([5, 9, 10])) == 2
    with read_session(engine) as session:
        digests = {row.key: row.request_digest for row in session.exec(select(Idempotency))}
    assert digests == {"a": "sha256:x", "b": FORGOTTEN, "c": FORGOTTEN, "d": "sha256:x"}
