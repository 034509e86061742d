"""The policy gate over many samples: counts by class from the database, every class judged with reasons and remedies.

Beside it stand what it replaces (a Cedar evaluation, a decision, a row of Python for each sample; measured on a few and
scaled up, as `scaled_from` says) and the limit of any scan: numpy over one int32 column that is in memory already.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import cedarpy
import numpy as np
from sqlalchemy import Engine, text

from benchmarks.classes import STUDENT, make_classes
from benchmarks.fill import NAME, Facts, draw_classes, fill_database, log_size_of
from benchmarks.measure import Options, Result, Timing, beside, middle, result, spent_in, time_median, time_once
from benchmarks.memory import measure_memory
from provenance.policy import decide as deciding
from provenance.policy.decide import decide, decide_classes
from provenance.policy.gate import GateAnswer, Question, ask_gate, decision_predicate, select_classes
from provenance.policy.pack import Pack, load_pack
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue, load_catalogue

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
DIGEST = "sha256:" + "0" * 64
GROUP_BY = (
    "SELECT fact_class_id, count(*), sum(tokens) FROM sample "
    'WHERE dataset_id = 1 AND "index" < :size GROUP BY fact_class_id'
)
ROWS = 'SELECT fact_class_id, tokens FROM sample WHERE dataset_id = 1 AND "index" < :size'
PYTHON_ROWS, CEDAR_ROWS = 1_000_000, 300


def run(options: Options, folder: Path) -> Iterator[Result]:
    """Every size on SQLite, and the smaller ones on PostgreSQL."""
    catalogue = load_catalogue()
    classes = make_classes(catalogue, options.classes)
    for samples in options.sizes:
        path = folder / f"gate-{samples}.db"
        yield from _measure(f"sqlite:///{path}", classes, samples, catalogue, options)
        path.unlink()
    yield from _measure_varied(catalogue, options)
    sizes = [size for size in options.sizes if size <= options.postgres_up_to]
    if sizes:
        from tests.postgres import PostgresCluster  # the server that tests bring along, with durability off

        cluster = PostgresCluster()
        try:
            for samples in sizes:
                name = f"gate_{samples}"
                yield from _measure(cluster.create_database(name), classes, samples, catalogue, options)
                cluster.drop_database(name)
        finally:
            cluster.stop()


@dataclass(frozen=True)
class _Gate:
    """One question to one database, with rules that have answered nothing yet."""

    engine: Engine
    catalogue: Catalogue
    size: int

    def ask(self) -> tuple[Timing, GateAnswer]:
        """The whole gate as a stored decision runs it, up to the predicate that commits to the answer."""
        pack = load_pack()
        question = Question(NAME, {}, "stu_bench", STUDENT, DIGEST, "train", self.size)
        answers = []

        def act() -> None:
            with read_session(self.engine) as session:
                answer = ask_gate(session, question, catalogue=self.catalogue, pack=pack, now=NOW)
            decision_predicate(
                "dec_bench", answer, pack=pack, catalogue=self.catalogue, decided_at="2026-11-24T12:00:00Z"
            )
            answers.append(answer)

        return time_once(act), answers[0]

    def count(self) -> None:
        """The counts by class alone."""
        with read_session(self.engine) as session:
            select_classes(session, NAME, {}, self.size)

    def group_rows(self) -> None:
        """The same counts by the plain query over all rows."""
        with self.engine.connect() as connection:
            connection.execute(text(GROUP_BY), {"size": self.size}).all()


def _measure(url: str, classes: Facts, samples: int, catalogue: Catalogue, options: Options) -> Iterator[Result]:
    engine = fill_database(url, classes, samples)
    database = "SQLite" if engine.dialect.name == "sqlite" else "PostgreSQL"
    gate = _Gate(engine, catalogue, log_size_of(samples))
    try:
        asked = [gate.ask() for _ in range(options.rounds)]
        answer = asked[0][1]
        held = sum(count.samples for count in answer.counts)
        label = f"{samples:,} samples, {database}"
        whole = result(f"gate with explanations, {label}", "samples", held, middle([took for took, _ in asked]))
        memory = measure_memory(url, gate.size)
        limit = _scan(len(classes), held, options.rounds)
        yield _with(beside(whole, limit), classes=len(answer.classes), **memory)
        yield from _parts(gate, answer, held, options)
        yield limit
        yield from _peers(gate, answer, held, whole, options)
    finally:
        engine.dispose()


def _with(line: Result, **more: float | str) -> Result:
    return replace(line, more={**line.more, **more})


def _parts(gate: _Gate, answer: GateAnswer, held: int, options: Options) -> Iterator[Result]:
    """Where the time goes: counts, verdicts, remedies, and the canonical answer that the entry commits to."""
    rows = result("  plain GROUP BY over the rows", "samples", held, time_median(gate.group_rows, options.rounds))
    counts = beside(result("  counts by class", "samples", held, time_median(gate.count, options.rounds)), rows)
    yield (
        counts if gate.engine.dialect.name == "sqlite" else replace(counts, cpu_ratio=None)
    )  # the server's is not seen
    yield rows
    half = _Gate(gate.engine, gate.catalogue, gate.size // 2)
    yield result("  counts at half that log size", "samples", held // 2, time_median(half.count, options.rounds))
    classes = [(item.digest, item.facts, item.samples, item.tokens) for item in answer.counts]
    bare = _judge(classes, gate.catalogue, options.rounds, remedies=False)
    yield result("  verdicts and reasons", "classes", len(classes), bare)
    runs = [
        spent_in(deciding, "find_remedies", lambda: _judge(classes, gate.catalogue, 1, remedies=True))
        for _ in range(options.rounds)
    ]
    yield result("  remedies", "classes", len(classes), middle([took for took, _ in runs]), calls=runs[0][1])
    pack = load_pack()
    note = time_median(
        lambda: decision_predicate("d", answer, pack=pack, catalogue=gate.catalogue, decided_at=""), options.rounds
    )
    yield result("  canonical answer and its digest", "classes", len(classes), note)


def _judge(classes: Any, catalogue: Catalogue, rounds: int, *, remedies: bool, action: str = "train") -> Timing:
    """Judge all classes with rules that have answered nothing yet."""

    def act(pack: Pack) -> Timing:
        options: dict[str, Any] = {"catalogue": catalogue, "pack": pack, "remedies": remedies}
        return time_once(lambda: decide_classes(classes, STUDENT, action, at=NOW.date(), **options))

    return middle([act(load_pack()) for _ in range(rounds)])


def _measure_varied(catalogue: Catalogue, options: Options) -> Iterator[Result]:
    """The worst case: every class another teacher, route, day, holder or licence."""
    varied = [(digest, facts, 1000, 500_000) for digest, facts in make_classes(catalogue, options.classes, days=1)]
    for action in ("train", "publish"):
        took = _judge(varied, catalogue, options.rounds, remedies=True, action=action)
        yield result(f"judging and remedies, every class another set-up, {action}", "classes", len(varied), took)


def _scan(classes: int, samples: int, rounds: int) -> Result:
    column = np.concatenate(list(draw_classes(classes, samples)))
    took = time_median(lambda: np.bincount(column, minlength=classes + 1), rounds)
    return result("  limit: numpy, one int32 column in memory", "samples", samples, took)


def _peers(gate: _Gate, answer: GateAnswer, held: int, whole: Result, options: Options) -> Iterator[Result]:
    for name, count, took in (
        ("  each sample a row of Python", min(held, PYTHON_ROWS), _each_row(gate, answer, options)),
        ("  each sample a Cedar evaluation", CEDAR_ROWS, _each_cedar(answer, gate.catalogue, options)),
        ("  each sample a decision, without remedies", CEDAR_ROWS, _each_decision(answer, gate.catalogue, options)),
    ):
        scaled = result(
            name, "samples", held, took.scaled(held / count), **({} if count == held else {"scaled_from": count})
        )
        against = beside(whole, scaled)
        yield _with(scaled, gate_is_faster=against.ratio or 0.0, gate_is_faster_cpu=against.cpu_ratio or 0.0)


def _each_row(gate: _Gate, answer: GateAnswer, options: Options) -> Timing:
    """Read every row and add it to the verdict of its class: the least that a gate without classes in the database does."""
    verdicts = {count.id: item.verdict for count, item in zip(answer.counts, answer.classes, strict=True)}

    def act() -> None:
        weights = dict.fromkeys(verdicts.values(), (0, 0))
        for kind, tokens in _read_rows(gate):
            before = weights[verdicts[kind]]
            weights[verdicts[kind]] = (before[0] + 1, before[1] + tokens)

    return time_median(act, min(options.rounds, 2))


def _read_rows(gate: _Gate) -> Iterator[tuple[int, int]]:
    query = f"{ROWS} LIMIT {PYTHON_ROWS}"
    if gate.engine.dialect.name == "sqlite":
        connection = sqlite3.connect(str(gate.engine.url.database))
        yield from connection.execute(query, {"size": gate.size})
        connection.close()
        return
    with gate.engine.connect() as connected:
        for row in connected.execution_options(yield_per=10_000).execute(text(query), {"size": gate.size}):
            yield row[0], row[1]


def cedar_requests(act: Callable[[], object]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What `act` asks Cedar."""
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    real = cedarpy.is_authorized

    def note(*arguments: Any, **options: Any) -> Any:
        asked.append((arguments, options))
        return real(*arguments, **options)

    with mock.patch.object(cedarpy, "is_authorized", note):
        act()
    return asked


def _each_cedar(answer: GateAnswer, catalogue: Catalogue, options: Options) -> Timing:
    """Cedar alone, with policies and schema parsed before: no facts computed, no reasons, no remedies."""
    pack = load_pack()
    classes = [(item.digest, item.facts, item.samples, item.tokens) for item in answer.counts]
    asked = cedar_requests(lambda: decide_classes(classes, STUDENT, catalogue=catalogue, pack=pack, remedies=False))
    chosen = [asked[number % len(asked)] for number in range(CEDAR_ROWS)]
    return time_median(lambda: [cedarpy.is_authorized(*a, **o) for a, o in chosen], options.rounds)


def _each_decision(answer: GateAnswer, catalogue: Catalogue, options: Options) -> Timing:
    """A decision for each sample, with rules that have seen its class before."""
    pack = load_pack()
    facts = [answer.counts[number % len(answer.counts)].facts for number in range(CEDAR_ROWS)]

    def act() -> None:
        for one in facts:
            decide(one, STUDENT, catalogue=catalogue, pack=pack, remedies=False)

    return time_median(act, options.rounds)
