"""Data directories with a log of as many leaves as asked for: every tile and sample row is there, entries and words are not.

Leaves are hashes of entries made up on the way, tiles and head are what an append of them would have left, and the head is
signed by the log's own keys: a service opens it, proves from it and appends to it as to any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text
from sqlmodel import Session

from benchmarks.classes import make_classes
from benchmarks.fill import BATCH, fill_database
from benchmarks.material import NOW
from provenance.ledger.append import format_time
from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
from provenance.ledger.edge import TileEdge
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.publish import CHECKPOINT, PUBLISHED_SIZE, write_file
from provenance.ledger.signonce import SignOnce
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.log import find_head, iterate_entries
from provenance.terms.catalogue import load_catalogue

CHUNK = 256 * 256
TILE = (
    "INSERT INTO log_tile (level, number, hashes) VALUES (:level, :number, :hashes) "
    "ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
)


def open_fresh(folder: Path) -> Runtime:
    """A new log, as a first start makes it."""
    return open_runtime(Settings(data_dir=folder, key_passphrase=SecretStr("bench")), lambda: NOW)


def make_big(folder: Path, size: int) -> None:
    """A data directory whose log has `size` leaves, a multiple of 256: what is published next is whole bundles."""
    runtime = open_fresh(folder)
    if runtime.publisher is not None:
        runtime.publisher.close()
    classes = make_classes(load_catalogue(), 400)
    fill_database(runtime.settings.resolved_database_url, classes, size * BATCH // (BATCH + 1)).dispose()
    with Session(runtime.engine) as session:
        entries = [leaf_hash(entry) for _, entry in iterate_entries(session)]
        edge = TileEdge()
        for leaves in _leaves(entries, size):
            rows = [
                {"level": level, "number": number, "hashes": hashes}
                for (level, number), hashes in edge.extend(leaves).items()
            ]
            session.connection().execute(text(TILE), rows)
        head, root = find_head(session, lock=True), edge.root()
        assert head is not None
        head.size, head.root, head.updated_at = size, root, format_time(NOW)
        head.checkpoint = note = sign_checkpoint(Checkpoint(head.origin, size, root), runtime.ring.log_signers)
        session.commit()
    SignOnce(folder / "keys" / "signed").record(size, root)
    for name, said in ((PUBLISHED_SIZE, str(size)), (CHECKPOINT, note)):
        write_file(folder / "log" / name, said.encode())  # as if it were published: what is appended is, bit by bit
    runtime.close()


def _leaves(first: list[bytes], size: int) -> Iterator[list[bytes]]:
    yield first[:size]
    for start in range(len(first), size, CHUNK):
        yield [leaf_hash(b"%d" % number) for number in range(start, min(start + CHUNK, size))]
