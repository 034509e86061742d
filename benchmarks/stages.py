"""Where the CPU of a sample goes between a request's body and a durable entry: parse, draft, append, on both databases.

Each stage is the time of the thread that does it, so what publishes beside it is not in; a caller that waits takes none.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from benchmarks.material import NOW, make_body
from benchmarks.measure import Options, Result, Timing, result, spent_in
from provenance.capture.sample import Sample, parse_samples
from provenance.ledger.sequencer import Sequencer
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings

STAGES = ("parse", "draft", "append")


def run(options: Options, folder: Path) -> Iterator[Result]:
    """SQLite, then PostgreSQL unless it is left out."""
    settings = Settings(data_dir=folder / "sqlite", key_passphrase=SecretStr("bench"))
    yield from _measure("SQLite", settings, options)
    if options.postgres_up_to:
        from tests.postgres import PostgresCluster  # the server that tests bring along, with durability off

        cluster = PostgresCluster()
        try:
            elsewhere = {"data_dir": folder / "postgres", "database_url": cluster.create_database("stages")}
            yield from _measure("PostgreSQL", settings.model_copy(update=elsewhere), options)
        finally:
            cluster.stop()


def _measure(database: str, settings: Settings, options: Options) -> Iterator[Result]:
    runtime = open_runtime(settings, lambda: NOW)
    try:
        _take(runtime, make_body(options.batch))  # the first batch opens its capture and meets its classes
        before = _bytes_stored(runtime)
        runs = [_take(runtime, make_body(options.batch, number)) for number in range(options.batches)]
        stored = (_bytes_stored(runtime) - before) / (options.batch * options.batches)
    finally:
        runtime.close()
    whole = Timing(0.0, 0.0)
    for name, column in zip(STAGES, zip(*runs, strict=True), strict=True):
        took = Timing(statistics.median(item.wall for item in column), statistics.median(item.cpu for item in column))
        whole = Timing(whole.wall + took.wall, whole.cpu + took.cpu)
        yield result(f"  {name}, its thread ({database})", "samples", options.batch, took)
    name = f"body to durable entry, the three together ({database})"
    yield result(name, "samples", options.batch, whole, bytes_each=stored)


def _take(runtime: Runtime, body: bytes) -> tuple[Timing, Timing, Timing]:
    samples: list[Sample] = []
    drafts: list[Timing] = []
    parse = _time_thread(lambda: samples.extend(parse_samples(body, now=NOW, lines=True)))

    def record() -> None:
        drafts.append(_time_thread(lambda: runtime.recorder.record(samples, source="api")))

    append, _ = spent_in(Sequencer, "_write", record)  # answered once this is done
    return parse, drafts[0] - Timing(append.wall, 0.0), append


def _time_thread(act: Callable[[], object]) -> Timing:
    wall, cpu = time.perf_counter(), time.thread_time()
    act()
    return Timing(time.perf_counter() - wall, max(time.thread_time() - cpu, 1e-9))


def _bytes_stored(runtime: Runtime) -> int:
    sqlite = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    query = sqlite if runtime.engine.dialect.name == "sqlite" else "SELECT pg_database_size(current_database())"
    with runtime.engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())
