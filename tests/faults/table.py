"""The fault table: each step of append and publish, and what stands when it breaks before and after it was done.

The order is that of the first time a step comes; steps that come more than once are broken each time. A step of the code
without a row here fails a test, and so does a row without its step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tests.faults.seams import Moment

Kept = Literal["nothing", "all"]
NOTHING: Kept = "nothing"
ALL: Kept = "all"


@dataclass(frozen=True)
class Row:
    """A step; what is durable (append), or what the published checkpoint speaks of (publish), after a break there."""

    step: str
    before: Kept
    after: Kept
    only_sqlite: bool = False
    only_files: bool = False  # the database has no part in it, so one engine is enough

    @property
    def can_tear(self) -> bool:
        """Whether a loss of power may leave half of what was written."""
        return self.step.startswith("fsync ") and (self.step.endswith("~") or self.step == "fsync keys/signed")


def _before_commit(step: str, **more: bool) -> Row:
    return Row(step, NOTHING, NOTHING, **more)


def _after_commit(step: str) -> Row:
    return Row(step, ALL, ALL, only_files=True)


APPEND = (
    # Is the request an old one?
    _before_commit("begin to read", only_sqlite=True),
    _before_commit("read idempotency"),
    # 1. Lock, ask the register, read the edge.
    _before_commit("begin to write", only_sqlite=True),
    _before_commit("read log_head"),
    # The register is asked before the commit and written after it; it is opened for both, so these stand below.
    _before_commit("read log_tile"),
    # 2. Hash. 3. Sign.
    _before_commit("hash"),
    _before_commit("sign"),
    # 4. Write.
    _before_commit("write entry_segment"),
    _before_commit("write content_segment"),
    _before_commit("write log_tile"),
    _before_commit("write dataset"),
    _before_commit("read fact_class"),
    _before_commit("write sample"),
    _before_commit("write class_block"),
    _before_commit("read lineage_node"),
    _before_commit("write lineage_node"),
    _before_commit("write statement"),
    # 5. Swap the head, remember the request.
    _before_commit("write log_head"),
    _before_commit("write idempotency"),
    Row("commit", NOTHING, ALL),
    # The register learns of it, then whoever waits.
    _after_commit("fsync keys/signed"),
    Row("answer", ALL, ALL),
)
# Each comes in the check (nothing is durable yet) and in the record (all is).
APPEND_TWICE = ("open keys/signed.lock", "lock keys/signed.lock", "open keys/signed")


def _old(step: str) -> Row:
    return Row(step, NOTHING, NOTHING, only_files=not step.startswith(("begin", "read")))


def _file(name: str, folder: str) -> tuple[Row, ...]:
    steps = (
        f"open {name}~",
        f"fsync {name}~",
        f"rename {name}",
        f"unlink {name}~",
        f"open {folder}",
        f"fsync {folder}",
    )
    return tuple(_old(step) for step in steps)


PUBLISH = (
    Row("begin to read", NOTHING, NOTHING, only_sqlite=True),
    _old("read log_head"),
    _old("open log/.published.lock"),
    _old("lock log/.published.lock"),
    _old("load log/checkpoint"),
    _old("load log/.published"),
    # Tiles: a finished one, and partial ones in new folders.
    _old("read log_tile"),
    *_file("log/tile/N/N", "log/tile/N"),
    _old("rmtree log/tile/N/N.p"),
    _old("mkdir log/tile/N/N.p"),
    *_file("log/tile/N/N.p/N", "log/tile/N/N.p"),
    _old("mkdir log/tile/N"),
    _old("open log/tile"),
    _old("fsync log/tile"),
    # Entry bundles.
    _old("read entry_segment"),
    *_file("log/tile/entries/N", "log/tile/entries"),
    _old("rmtree log/tile/entries/N.p"),
    _old("mkdir log/tile/entries/N.p"),
    *_file("log/tile/entries/N.p/N", "log/tile/entries/N.p"),
    # Keys, how far it went, and the checkpoint last.
    *_file("log/vkey", "log")[:4],
    *_file("log/.published", "log")[:4],
    *_file("log/checkpoint", "log")[:2],
    Row("rename log/checkpoint", NOTHING, ALL, only_files=True),
    Row("unlink log/checkpoint~", ALL, ALL, only_files=True),
)
# The folder's own name is made durable after each of the three files in it; only the last follows the checkpoint.
PUBLISH_OFTEN = ("open log", "fsync log")


def list_cases(rows: Iterable[Row]) -> list[Any]:
    """Engine, row and moment of each test: every moment of every row, on each engine that has a part in it."""
    cases = []
    for row in rows:
        moments: tuple[Moment, ...] = ("before", "torn", "after") if row.can_tear else ("before", "after")
        for moment in moments:
            name = f"{row.step}-{row.before}-{moment}"
            cases.append(pytest.param("sqlite", row, moment, id=f"sqlite-{name}"))
            if not row.only_files and not row.only_sqlite:
                cases.append(pytest.param("postgres", row, moment, id=f"postgres-{name}", marks=pytest.mark.postgres))
    return sorted(cases, key=lambda case: str(case.id))
