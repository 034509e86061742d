"""Run every benchmark, print the table, write `out/bench.json`."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pymerkle
import rfc8785
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.material import NOW, make_body, make_samples
from benchmarks.measure import Result, compare, measure
from benchmarks.naive import open_naive, record_naively
from provenance.canonical import canonical_bytes, parse_json
from provenance.capture.sample import parse_samples
from provenance.ledger.audit import audit_log
from provenance.ledger.edge import TileEdge
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.prove import Prover
from provenance.policy.decide import decide, decide_classes
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.log import get_head
from provenance.store.samples import count_classes
from provenance.store.session import read_session

BATCH = 1000
BATCHES = 20
STUDENT = {
    "name": "bench",
    "use": "commercial",
    "distribution": "none",
    "purpose": "general-assistant",
    "competes_with": [],
}


def main() -> int:
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name, Console().status("measuring") as status:
        for what, found in _benchmarks(Path(name)):
            status.update(what)
            results.extend(found)
    _print(results)
    path = Path("out/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0


def _benchmarks(folder: Path) -> Iterator[tuple[str, list[Result]]]:
    values = [parse_json(line) for line in make_body(BATCH).split(b"\n")]
    yield "canonical bytes", compare(
        "canonical bytes", "samples", BATCH, lambda: [canonical_bytes(value) for value in values],
        baseline="rfc8785", theirs=lambda: [rfc8785.dumps(value) for value in values],
    )  # fmt: skip
    entries = [canonical_bytes(value) for value in values]
    yield "tree", compare(
        "leaf hashes, tree and root", "entries", BATCH, lambda: _grow(entries),
        baseline="pymerkle", theirs=lambda: _grow_pymerkle(entries),
    )  # fmt: skip
    runtime = open_runtime(Settings(data_dir=folder / "data", key_passphrase=SecretStr("bench")), lambda: NOW)
    try:
        yield "record", _record(runtime, folder)
        yield "log", list(_read(runtime))
    finally:
        runtime.close()


def _grow(entries: list[bytes]) -> bytes:
    edge = TileEdge()
    edge.extend([leaf_hash(entry) for entry in entries])
    return edge.root()


def _grow_pymerkle(entries: list[bytes]) -> bytes:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    root: bytes = tree.get_state()
    return root


def _record(runtime: Runtime, folder: Path) -> list[Result]:
    numbers, naive_numbers = itertools.count(), itertools.count(10_000)
    naive = open_naive(folder)

    def ours() -> None:
        for _ in range(BATCHES):
            samples = parse_samples(make_body_once(next(numbers)), now=NOW, lines=True)
            runtime.recorder.record(samples, source="api")

    def theirs() -> None:
        for _ in range(2):
            record_naively(naive, make_body_once(next(naive_numbers)))

    bodies: dict[int, bytes] = {}

    def make_body_once(number: int) -> bytes:
        return bodies.setdefault(number % BATCHES, make_body(BATCH, number % BATCHES))

    for number in range(BATCHES):
        make_body_once(number)
    mine = measure("parse, sign, append, durable (batches of 1,000)", "samples", BATCH * BATCHES, ours)[0]
    other = measure("naive: pydantic, rfc8785, Ed25519 each, ORM", "samples", BATCH * 2, theirs)[0]
    ratio, cpu = mine.per_second / other.per_second, mine.per_cpu_second / other.per_cpu_second
    return [Result(mine.name, mine.unit, mine.per_second, mine.per_cpu_second, other.name, ratio, cpu), other]


def _read(runtime: Runtime) -> Iterator[Result]:
    single = make_samples(1)[0]
    facts = {"teacher": {"provider": "openai", "model": "gpt-4o", "route": "api"}, "generated_at": "2026-03-01"}
    with read_session(runtime.engine) as session:
        size = get_head(session).size
        prover = Prover(session)
        step = max(1, size // 500)
        indices = range(0, size, step)
        name = f"inclusion proof in a log of {size:,}"
        yield measure(name, "proofs", len(indices), lambda: [prover.inclusion(i) for i in indices])[0]
        counts = count_classes(session, single.dataset, {}, size)
        samples = sum(count.samples for count in counts)

        def gate() -> None:
            found = count_classes(session, single.dataset, {}, size)
            classes = [(item.digest, item.facts, item.samples, item.tokens) for item in found]
            decide_classes(classes, STUDENT, "train", catalogue=runtime.catalogue, pack=runtime.pack)

        yield measure(f"gate over {samples:,} samples in {len(counts)} classes", "samples", samples, gate)[0]
        yield measure("full audit of the log", "entries", size, lambda: audit_log(session, runtime.ring.vkeys))[0]
    yield measure(
        "single decision with remedies", "decisions", 20,
        lambda: [decide(facts, STUDENT, catalogue=runtime.catalogue, pack=runtime.pack) for _ in range(20)],
    )[0]  # fmt: skip


def _print(results: list[Result]) -> None:
    table = Table("what", "per second", "per CPU second", "against", "times", "CPU times")
    for result in results:
        ratio = "" if result.ratio is None else f"{result.ratio:.1f}"
        cpu = "" if result.cpu_ratio is None else f"{result.cpu_ratio:.1f}"
        rates = (f"{result.per_second:,.0f} {result.unit}", f"{result.per_cpu_second:,.0f}")
        table.add_row(result.name, *rates, result.baseline or "", ratio, cpu)
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(main())
