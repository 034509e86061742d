"""A real log for tests: keys, head, sequencer on a fresh database, and samples to put into it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from provenance.canonical import sha256_digest
from provenance.capture.record import Recorder
from provenance.capture.sample import Sample, parse_samples
from provenance.ledger.append import Receipt, format_time, make_draft
from provenance.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from provenance.ledger.keys import KeyRing, SignOnce, create_keys, open_keys
from provenance.ledger.merkle import leaf_hash, tree_root
from provenance.ledger.sequencer import Sequencer
from provenance.ledger.sign import sign_entry
from provenance.ledger.tiles import format_tile, list_tiles
from provenance.store.index import INDEX_TABLES
from provenance.store.log import HEAD_ID, find_head, get_head, iterate_entries, load_tile
from provenance.store.session import make_engine, read_session, write_session
from provenance.store.tables import LogHead, LogTile, SampleRow, metadata
from provenance.terms.catalogue import Catalogue, load_catalogue

ORIGIN = "provenance.example/test"
PASSPHRASE = "only for tests"
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
LOG_TABLES = ("log_head", "log_tile", "entry_segment", "content_segment")


def stand_still() -> datetime:
    """The clock of tests that do not look at the time."""
    return NOW


@dataclass
class Log:
    """A writer: one engine, one ring, one register, one sequencer."""

    engine: Engine
    ring: KeyRing
    sign_once: SignOnce
    sequencer: Sequencer

    def recorder(self, catalogue: Catalogue) -> Recorder:
        """A recorder that appends here."""
        return Recorder(
            self.sequencer.append, self.ring, catalogue, stand_still, find_replay=self.sequencer.find_replay
        )

    def access(self, target: str) -> bytes:
        """A small governance entry, another one for each target."""
        said = {"actor": "test", "act": "look", "target": target, "reason": None, "at": format_time(NOW)}
        return sign_entry(self.ring, "access", said)

    def append(self, *targets: str, key: str | None = None) -> Receipt:
        """Append one small entry for each target."""
        return self.sequencer.append(make_draft([self.access(target) for target in targets], idempotency_key=key))

    def close(self) -> None:
        """End the writer."""
        self.sequencer.close()
        self.engine.dispose()


def open_log(url: str, folder: Path, clock: Callable[[], datetime] = stand_still) -> Log:
    """Open the log at `url`; keys and register lie in `folder`. The first call makes all of it."""
    engine = make_engine(url)
    folder.mkdir(parents=True, exist_ok=True)
    ring = _open_ring(folder)
    sign_once = SignOnce(folder / "signed")
    with write_session(engine) as session:
        if find_head(session, lock=True) is None:
            empty = Checkpoint(ring.origin, 0, tree_root([]))
            note = sign_checkpoint(empty, ring.log_signers)
            row = LogHead(
                id=HEAD_ID, origin=ring.origin, size=0, root=empty.root, checkpoint=note, updated_at=format_time(NOW)
            )
            session.add(row)
    return Log(engine, ring, sign_once, Sequencer(engine, ring, sign_once, clock))


@cache
def _keys_of_this_process() -> tuple[dict[str, bytes], KeyRing]:
    # Opening encrypted keys is slow on purpose; one set serves all logs of a test process.
    with tempfile.TemporaryDirectory() as folder:
        ring = create_keys(Path(folder), ORIGIN, PASSPHRASE)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}, ring


def _open_ring(folder: Path) -> KeyRing:
    index = folder / "keys.json"
    if index.exists() and not _keys_of_this_process.cache_info().currsize:
        return open_keys(folder, PASSPHRASE)  # another process made them
    files, ring = _keys_of_this_process()
    if not index.exists():
        for name, data in files.items():
            (folder / name).write_bytes(data)
    return ring if index.read_bytes() == files["keys.json"] else open_keys(folder, PASSPHRASE)


@pytest.fixture
def log(database_url: str, tmp_path: Path) -> Iterator[Log]:
    """A fresh log; the test runs once on each engine."""
    opened = open_log(database_url, tmp_path / "keys")
    yield opened
    opened.close()


@pytest.fixture
def sqlite_log(sqlite_url: str, tmp_path: Path) -> Iterator[Log]:
    """A fresh log on SQLite, where the engine does not matter."""
    opened = open_log(sqlite_url, tmp_path / "keys")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The catalogue that travels with the package."""
    return load_catalogue()


def check_log(engine: Engine, ring: KeyRing) -> list[bytes]:
    """Every entry of the log, after all that is said of them was computed again: tiles, root, signature, rows."""
    with read_session(engine) as session:
        head = get_head(session)
        numbered = list(iterate_entries(session))
        entries = [entry for _, entry in numbered]
        assert [index for index, _ in numbered] == list(range(head.size))
        leaves = [leaf_hash(entry) for entry in entries]
        assert head.root == tree_root(leaves)
        opened = open_checkpoint(head.checkpoint, ring.vkeys)
        assert (opened.origin, opened.size, opened.root) == (ring.origin, head.size, head.root)
        rebuilt = rebuild_tiles(leaves)
        stored = {(row.level, row.number): row.hashes for row in session.exec(select(LogTile))}
        assert stored == rebuilt
        for tile in list_tiles(head.size):
            assert load_tile(session, tile.level or 0, tile.index, tile.width) == rebuilt[tile.level or 0, tile.index]
        _check_rows(session, entries)
    return entries


def rebuild_tiles(leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """All tiles of a tree, from the definition: 256 hashes side by side, full tiles hashed into the level above."""
    tiles: dict[tuple[int, int], bytes] = {}
    level, row = 0, list(leaves)
    while row:
        for number in range(0, len(row), 256):
            tiles[level, number // 256] = format_tile(row[number : number + 256])
        row = [tree_root(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)]
        level += 1
    return tiles


def _check_rows(session: Session, entries: Sequence[bytes]) -> None:
    samples = [index for index, entry in enumerate(entries) if b'"payload"' not in entry[:12]]
    assert list(session.exec(select(SampleRow.index).order_by(col(SampleRow.index)))) == samples


def read_index(session: Session) -> dict[str, list[str]]:
    """All rows of all index tables, each as JSON, sorted."""
    found = {}
    for table in [metadata.tables[str(model.__tablename__)] for model in INDEX_TABLES]:
        rows = session.connection().execute(table.select()).mappings()
        found[table.name] = sorted(json.dumps(dict(row), sort_keys=True) for row in rows)
    return found


def raw_sample(**changes: Any) -> dict[str, Any]:
    """A sample as a pipeline sends it; `changes` replace or, as `teacher_route`, go into the teacher."""
    sample: dict[str, Any] = {
        "dataset": "math",
        "teacher": {"provider": "openai", "model": "gpt-4o-2024-08-06", "route": "api", "host": "openai"},
        "role": "generator",
        "generated_at": "2026-11-20T10:00:00Z",
        "generated_in": "US",
        "account": {"holder": "acme", "plan": "api"},
        "prompt": [{"role": "user", "content": "What is 6 times 7?"}],
        "completion": [{"role": "assistant", "content": "It is 42."}],
        "parameters": {"temperature": 0.7},
        "usage": {"input_tokens": 7, "output_tokens": 5},
        "request_id": "req-1",
        "finish_reason": "stop",
        "prompt_origin": {"kind": "human", "ref": None, "license": "CC0-1.0"},
        "external_id": None,
    }
    for name, value in changes.items():
        where, _, inner = name.partition("__")
        if inner:
            sample[where] = {**sample[where], inner: value}
        else:
            sample[where] = value
    return sample


def make_samples(*raw: Mapping[str, Any]) -> list[Sample]:
    """Samples, by the same parser that requests go through."""
    return parse_samples(json.dumps(raw).encode(), now=NOW, lines=False)


def digest_of(text: str) -> str:
    """A digest where a test needs one."""
    return sha256_digest(text.encode())
