"""What a log costs as it grows: the ten-millionth sample beside the first, proofs from many leaves, bytes, memory."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text
from sqlmodel import Session

from benchmarks.big import make_big, open_fresh
from benchmarks.http import serve_process
from benchmarks.material import NOW, make_body
from benchmarks.measure import Options, Result, beside, latencies, middle, result, time_once
from benchmarks.singles import make_token, post_singles
from provenance.capture.sample import parse_samples
from provenance.ledger.merkle import leaf_hash, verify_inclusion
from provenance.ledger.prove import Prover
from provenance.ledger.tiles import TILE_WIDTH
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.session import read_session
from provenance.store.tables import metadata

PROOFS = 500
CONTENT = "content_segment"


def run(options: Options, folder: Path) -> Iterator[Result]:
    """One log of every size, the smallest beside the greatest."""
    size = max(options.sizes) // TILE_WIDTH * TILE_WIDTH
    make_big(folder / "big", size)
    yield from _append(options, folder, size)
    yield _prove(folder / "big", size)
    yield from _bytes(options, folder)
    for leaves in (10_240, min(size, 1_000_192)):
        make_big(folder / f"{leaves}", leaves)
        yield _memory(folder / f"{leaves}", leaves, options.questions)


def _append(options: Options, folder: Path, size: int) -> Iterator[Result]:
    """The same batches into a fresh log and into the great one, in turn."""
    small, big = open_fresh(folder / "small"), open_fresh(folder / "big")
    first, last = [], []
    try:
        for runtime in (small, big):  # classes and statements are seen once
            _record(runtime, options.batch, 0)
        for number in range(1, options.batches + 1):
            first.append(time_once(partial(_record, small, options.batch, number)))
            last.append(time_once(partial(_record, big, options.batch, number)))
    finally:
        small.close()
        big.close()
    base = result("  into a fresh log", "samples", options.batch, middle(first))
    yield beside(result(f"durable record into a log of {size:,}", "samples", options.batch, middle(last)), base)
    yield base


def _record(runtime: Runtime, count: int, seed: int) -> None:
    runtime.recorder.record(parse_samples(make_body(count, seed), now=NOW, lines=True), source="api")


def _record_all(runtime: Runtime, options: Options) -> None:
    for number in range(options.batches):
        _record(runtime, options.batch, number)


def _prove(folder: Path, size: int) -> Result:
    """Each proof by a prover of its own, as a request makes it: no tile is remembered. The known leaves are verified."""
    chance, runtime = random.Random(3), open_fresh(folder)
    try:
        with read_session(runtime.engine) as session:
            indices = [chance.randrange(size) for _ in range(PROOFS)]
            acts = [partial(_prove_one, session, index) for index in indices]
            line = latencies(f"inclusion proof from tiles of {size:,} leaves", "proofs", acts)
            prover = Prover(session)
            for index in [index for index in indices if index > 1000]:  # before them stand the log's own entries
                leaf = leaf_hash(b"%d" % index)
                verify_inclusion(leaf, index, prover.head.size, prover.inclusion(index), prover.head.root)
            return line
    finally:
        runtime.close()


def _prove_one(session: Session, index: int) -> None:
    Prover(session).inclusion(index)


def _bytes(options: Options, folder: Path) -> Iterator[Result]:
    """What a sample takes beyond its words: entry, tiles, rows and their indexes; the words stand beside it."""
    yield _weigh("SQLite", Settings(data_dir=folder / "bytes", key_passphrase=SecretStr("bench")), options)
    if options.postgres_up_to:
        from tests.postgres import PostgresCluster  # the server that tests bring along

        cluster = PostgresCluster()
        try:
            url = cluster.create_database("bytes")
            settings = Settings(data_dir=folder / "pg", database_url=url, key_passphrase=SecretStr("bench"))
            yield _weigh("PostgreSQL", settings, options)
        finally:
            cluster.stop()


def _weigh(name: str, settings: Settings, options: Options) -> Result:
    runtime = open_runtime(settings, lambda: NOW)
    try:
        before, count = _sizes(runtime), options.batch * options.batches
        took = time_once(partial(_record_all, runtime, options))
        after = _sizes(runtime)
    finally:
        runtime.close()
    grown = {table: (size - before[table]) / count for table, size in after.items()}
    content = grown.pop(CONTENT)
    rows = grown["sample"]
    return result(
        f"stored for each sample, {name}", "samples", count, took,
        beyond_bytes=sum(grown.values()), row_bytes=rows, content_bytes=content,
    )  # fmt: skip


def _sizes(runtime: Runtime) -> dict[str, int]:
    """Bytes of each table with its indexes."""
    with runtime.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            found = {
                name: int(connection.execute(text("SELECT pg_total_relation_size(:name)"), {"name": f'"{name}"'}).scalar_one())
                for name in metadata.tables
            }  # fmt: skip
        else:
            rows = connection.execute(
                text(
                    "SELECT m.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_master m ON m.name = d.name GROUP BY 1"
                )
            )
            found = {str(name): int(size) for name, size in rows}
    return found


def _memory(folder: Path, leaves: int, count: int) -> Result:
    """A service on a log of so many leaves, after as many samples and receipts as the other one."""
    token = make_token(folder)
    with serve_process(folder, folder.with_suffix(".log")) as (port, _):
        line = post_singles(port, token, max(64, count), 16)
        pid = int(json.loads((folder / "service.lock").read_text())["pid"])
        kept = dict(item.split(":", 1) for item in Path(f"/proc/{pid}/status").read_text().splitlines())
    peak, now = (int(kept[name].split()[0]) * 1024 / 1e6 for name in ("VmHWM", "VmRSS"))
    return Result(
        f"service on a log of {leaves:,} after {count:,} samples", line.unit, line.items, line.wall_seconds, None,
        more={"resident_mb": now, "peak_mb": peak},
    )  # fmt: skip
