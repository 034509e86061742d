"""The log: canonical bytes, hashing, durable recording, proofs and the full audit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import orjson
import pymerkle
import rfc8785
from pydantic import SecretStr
from sqlmodel import select

from benchmarks import stages
from benchmarks.material import NOW, make_body
from benchmarks.measure import Options, Result, beside, compare, result, time_median
from benchmarks.naive import open_naive, record_naively
from provenance.attestation.words import DOMAINS
from provenance.canonical import canonical_bytes, commit, parse_json
from provenance.capture.sample import parse_samples
from provenance.ledger.audit import audit_log, load_segment
from provenance.ledger.edge import TileEdge
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.prove import Prover
from provenance.ledger.reading import SegmentBytes
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.log import get_head
from provenance.store.segment import pack_segment, unpack_segment
from provenance.store.session import read_session
from provenance.store.tables import EntrySegment

PROOFS = 500


def run(options: Options, folder: Path) -> Iterator[Result]:
    """Bytes and hashes in memory, then a real data directory."""
    values = [parse_json(line) for line in make_body(options.batch).split(b"\n")]
    yield from compare(
        "canonical bytes", "samples", len(values), lambda: [canonical_bytes(value) for value in values],
        baseline="  rfc8785", theirs=lambda: [rfc8785.dumps(value) for value in values], rounds=options.rounds,
    )  # fmt: skip
    entries = [canonical_bytes(value) for value in values]
    yield from compare(
        "leaf hashes, tree and root", "entries", len(entries), lambda: _grow(entries),
        baseline="  pymerkle", theirs=lambda: _grow_pymerkle(entries), rounds=options.rounds,
    )  # fmt: skip
    runtime = open_runtime(Settings(data_dir=folder / "data", key_passphrase=SecretStr("bench")), lambda: NOW)
    try:
        yield from _record(runtime, folder, options)
        yield from _read(runtime, options)
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
    root: bytes = tree.get_root()
    return root


def _record(runtime: Runtime, folder: Path, options: Options) -> Iterator[Result]:
    bodies = [make_body(options.batch, number) for number in range(options.batches)]
    numbers, naive = itertools.count(), open_naive(folder)

    def ours() -> None:
        for _ in bodies:
            samples = parse_samples(bodies[next(numbers) % len(bodies)], now=NOW, lines=True)
            runtime.recorder.record(samples, source="api")

    def theirs() -> None:
        for body in bodies[:2]:
            record_naively(naive, body)

    name = f"parse, sign, append, durable (batches of {options.batch:,})"
    mine = result(name, "samples", options.batch * options.batches, time_median(ours, options.rounds))
    took = time_median(theirs, options.rounds)
    other = result("  naive: pydantic, rfc8785, Ed25519 each, ORM", "samples", options.batch * len(bodies[:2]), took)
    yield beside(mine, other)
    yield other
    yield from stages.run(options, folder)


def _read(runtime: Runtime, options: Options) -> Iterator[Result]:
    with read_session(runtime.engine) as session:
        size = get_head(session).size
        prover = Prover(session)
        indices = range(0, size, max(1, size // PROOFS))
        took = time_median(lambda: [prover.inclusion(index) for index in indices], options.rounds)
        yield result(f"inclusion proof in a log of {size:,}", "proofs", len(indices), took)
        starts = session.exec(select(EntrySegment.first_index)).all()
        stored = [load_segment(session, start, size) for start in starts]
        yield from compare(
            "full audit of the log", "entries", size, lambda: audit_log(session, runtime.ring.vkeys),
            baseline="  only re-hash: entries to leaves, words to commitments",
            theirs=lambda: _rehash(stored), rounds=options.rounds,
        )  # fmt: skip
        two = time_median(lambda: audit_log(session, runtime.ring.vkeys, workers=2), options.rounds)
        yield result("full audit in two processes (wall; CPU is of the first alone)", "entries", size, two)


def _rehash(segments: list[SegmentBytes]) -> None:
    """The part of the audit that a log of bare hashes would need: leaves and commitments, nothing parsed but the words."""
    for stored in segments:
        for entry in unpack_segment(stored.entries):
            leaf_hash(entry)
        for item in unpack_segment(stored.words or pack_segment([])):
            words = orjson.loads(item) if item else {}
            for half, domain in DOMAINS.items() if "prompt_salt" in words else ():
                commit(domain, bytes.fromhex(words[f"{half}_salt"]), canonical_bytes(words[half]))
