"""Databases of the real schema with as many sample rows as asked for, filled in bulk: no entries, no words.

Rows come as pipelines make them: batches of 1,000, nine in ten of a batch of one class, classes of very different weight,
and every tenth batch of another data set.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Engine, insert
from sqlmodel import Session

from provenance.attestation.facts import teacher_name
from provenance.store.migrate import upgrade
from provenance.store.session import make_engine
from provenance.store.tables import BLOCK_ENTRIES, Dataset, FactClass

BATCH, CHUNK = 1000, 100_000
NAME = "bench"
COLUMNS = '"index", batch_index, dataset_id, fact_class_id, generated_at, tokens'
COUNT_BLOCKS = (
    "INSERT INTO class_block (dataset_id, fact_class_id, block, samples, tokens) "
    f'SELECT dataset_id, fact_class_id, "index" / {BLOCK_ENTRIES}, count(*), sum(tokens) FROM sample '
    f'GROUP BY dataset_id, fact_class_id, "index" / {BLOCK_ENTRIES}'
)

Facts = list[tuple[str, dict[str, Any]]]


def log_size_of(samples: int) -> int:
    """The size of a log with so many samples: an entry closes each batch."""
    return samples + -(-samples // BATCH)


def fill_database(url: str, classes: Facts, samples: int) -> Engine:
    """An engine on a new database at `url` with `samples` rows over `classes`."""
    upgrade(url)
    engine = make_engine(url)
    with Session(engine) as session:
        for number, name in enumerate((NAME, "other"), 1):
            session.add(Dataset(id=number, name=name, first_index=0))
        session.flush()
        rows = [
            {"id": number, "digest": digest, "teacher": teacher_name(facts), "facts": facts}
            for number, (digest, facts) in enumerate(classes, 1)
        ]
        session.connection().execute(insert(FactClass), rows)
        session.commit()
    chunks = _chunks(len(classes), samples)
    if engine.dialect.name == "sqlite":
        _fill_sqlite(str(engine.url.database), chunks)
    else:
        _fill_postgres(engine.url.set(drivername="postgresql").render_as_string(hide_password=False), chunks)
    return engine


def draw_classes(classes: int, samples: int, seed: int = 11) -> Iterator[np.ndarray[Any, np.dtype[np.int32]]]:
    """The class of each sample, numbered from 1, by chunk."""
    chance = np.random.default_rng(seed)
    weights = 1 / np.arange(1, classes + 1) ** 0.8
    weights /= weights.sum()
    for first in range(0, samples, CHUNK):
        count = min(CHUNK, samples - first)
        main = np.repeat(chance.choice(classes, size=-(-count // BATCH), p=weights), BATCH)[:count]
        mixed = chance.choice(classes, size=count, p=weights)
        yield (np.where(chance.random(count) < 0.1, mixed, main) + 1).astype(np.int32)


def _chunks(classes: int, samples: int) -> Iterator[list[tuple[Any, ...]]]:
    chance = np.random.default_rng(12)
    first = 0
    for kinds in draw_classes(classes, samples):
        place = np.arange(first, first + len(kinds))
        batch = place // BATCH
        yield list(
            zip(
                (place + batch).tolist(),
                ((batch + 1) * (BATCH + 1) - 1).tolist(),
                np.where(batch % 10 == 9, 2, 1).tolist(),
                kinds.tolist(),
                ["2026-11-01T10:00:00Z"] * len(kinds),
                chance.integers(20, 2000, size=len(kinds)).tolist(),
                strict=True,
            )
        )
        first += len(kinds)


def _fill_sqlite(path: str, chunks: Iterator[list[tuple[Any, ...]]]) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")  # a database for one benchmark; the product never says so
    connection.execute("PRAGMA cache_size = -200000")
    for rows in chunks:
        connection.executemany(f"INSERT INTO sample ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
    connection.execute(COUNT_BLOCKS)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _fill_postgres(url: str, chunks: Iterator[list[tuple[Any, ...]]]) -> None:
    with psycopg.connect(url) as connection:
        with connection.cursor().copy(f"COPY sample ({COLUMNS}) FROM STDIN") as copy:
            for rows in chunks:
                for row in rows:
                    copy.write_row(row)
        connection.execute(COUNT_BLOCKS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")  # as autovacuum does in a running service
