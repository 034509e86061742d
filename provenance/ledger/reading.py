"""What one segment of entries says by itself: the part of the audit that needs neither database nor what stands before.

A segment is read from its bytes alone, so that several processes can read several at once; `audit` then goes over the
readings in the order of the log. Numbers of steps are those of `audit`.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import orjson
import zstandard

from provenance.attestation.envelope import Envelope, split_entry
from provenance.attestation.plain import opens, read_commitments
from provenance.attestation.predicates import check_predicate
from provenance.attestation.statement import Statement
from provenance.attestation.words import DOMAINS
from provenance.canonical import canonical_bytes, verify_commitment
from provenance.errors import ProvenanceError, StatementError
from provenance.ledger.findings import Finding
from provenance.ledger.merkle import leaf_hash
from provenance.store.segment import read_item, unpack_segment

WORTH_A_PROCESS = 25_000  # entries
UNREADABLE = (zstandard.ZstdError, struct.error, IndexError, ValueError, MemoryError)
MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


@dataclass
class Reading:
    """The entries `first .. first+len(leaves)-1`. Values only, as it goes from one process to another."""

    first: int
    leaves: list[bytes | None] = field(default_factory=list)  # None where an entry cannot be read
    samples: list[bool] = field(default_factory=list)  # which entries are well-formed samples
    signed: dict[int, tuple[Statement, Envelope]] = field(default_factory=dict)  # the well-formed others, by index
    findings: list[Finding] = field(default_factory=list)
    words: int = 0
    gone: list[int] = field(default_factory=list)  # samples without words


@dataclass(frozen=True)
class SegmentBytes:
    """A segment as it is stored: entries as many as belong to the log, and the words beside them."""

    first: int
    count: int  # that the row promises
    taken: int  # of them are within the log
    entries: bytes
    words: bytes | None = None
    words_count: int = 0


def read_segment(stored: SegmentBytes) -> Reading:
    """Hash every entry, check what it says against the form of its kind, and open the commitments of its words."""
    reading = Reading(stored.first)
    entries = read_items(stored.entries, stored.count, stored.taken)
    words = read_items(stored.words, stored.words_count, stored.taken) if stored.words is not None else []
    if stored.words_count > stored.count:
        said = f"{stored.words_count} words lie beside the {stored.count} entries from {stored.first} on"
        reading.findings.append(Finding(6, stored.first, said))
    words += [b""] * (len(entries) - len(words))
    for index, (entry, item) in enumerate(zip(entries, words, strict=False), stored.first):
        _read_entry(reading, index, entry, item)
    return reading


def count_workers(size: int) -> int:
    """Processes for a log of `size` entries: one a core, but none that would start for less than a second's work."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, size // WORTH_A_PROCESS))


def read_all(segments: Iterable[SegmentBytes | Reading], workers: int) -> Generator[Reading]:
    """Read `segments` in order, in so many processes; what is a reading already is handed on.

    Twice as many segments as processes are in memory, however long the log is.
    """
    if workers <= 1:
        yield from (item if isinstance(item, Reading) else read_segment(item) for item in segments)
        return
    # Not forked: the caller may have threads, and a fork would share its database connections.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Reading | Future[Reading]] = deque()
        for item in segments:
            waiting.append(item if isinstance(item, Reading) else pool.submit(read_segment, item))
            if len(waiting) >= 2 * workers:
                yield _result_of(waiting.popleft())
        while waiting:
            yield _result_of(waiting.popleft())


def _result_of(item: Reading | Future[Reading]) -> Reading:
    return item if isinstance(item, Reading) else item.result()


def _read_entry(reading: Reading, index: int, entry: bytes | None, item: bytes | None) -> None:
    reading.leaves.append(None if entry is None else leaf_hash(entry))
    reading.samples.append(False)
    if entry is None:
        reading.findings.append(Finding(2, index, f"entry {index} cannot be read"))
        return
    commitments = read_commitments(entry)
    if commitments is not None:
        _take_words(reading, index, commitments, item)
        return
    try:
        statement, envelope = split_entry(entry)
        check_predicate(statement.kind, statement.predicate)
    except ProvenanceError as exc:
        reading.findings.append(Finding(2, index, f"entry {index}: {exc.detail}"))
        return
    except MALFORMED as exc:
        reading.findings.append(Finding(2, index, f"entry {index} is malformed: {exc}"))
        return
    if statement.kind != "sample":
        if envelope is not None:  # it is: only samples stand bare
            reading.signed[index] = statement, envelope
        if item is None:
            reading.findings.append(Finding(6, index, f"what lies beside entry {index} cannot be read"))
        return  # the text of terms and the like: its statement names its digest, and it is no secret
    said = statement.predicate
    _take_words(reading, index, (said["prompt_commitment"], said["completion_commitment"]), item)


def _take_words(reading: Reading, index: int, commitments: tuple[str, str], item: bytes | None) -> None:
    reading.samples[-1] = True
    if item == b"":
        reading.gone.append(index)
        return
    try:
        _open_words(commitments, item)
        reading.words += 1
    except (ProvenanceError, *MALFORMED) as exc:
        detail = exc.detail if isinstance(exc, ProvenanceError) else f"malformed: {exc}"
        reading.findings.append(Finding(6, index, f"the words of entry {index} do not open its commitments: {detail}"))


def _open_words(commitments: tuple[str, str], item: bytes | None) -> None:
    if item is None:
        raise StatementError("they cannot be read")
    if opens(commitments, item):
        return
    words = orjson.loads(item)
    for (half, domain), commitment in zip(DOMAINS.items(), commitments, strict=True):
        salt = bytes.fromhex(words[f"{half}_salt"])
        verify_commitment(commitment, domain, salt, canonical_bytes(words[half]))


def read_items(frames: bytes, count: int, taken: int) -> list[bytes | None]:
    """The first `taken` items of a segment that promises `count`; None for each that its frame no longer gives."""
    try:
        items: Sequence[bytes | None] = unpack_segment(frames)
        if len(items) == count:
            return list(items[:taken])
    except UNREADABLE:
        pass
    return [_read_one(frames, position) for position in range(min(count, taken))]


def _read_one(frames: bytes, position: int) -> bytes | None:
    try:
        return read_item(frames, position)
    except UNREADABLE:
        return None
