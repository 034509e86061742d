"""Check the whole log of a database: every entry, tile, signature and word, in one pass, one segment in memory.

 1. Checkpoint: each line by a log key verifies, its own among them; size and root are those of the head row; the
    sign-once register knows of no later one (a stale backup).
 2. Entries: none is missing, each is a statement of its kind, and hashes to its place in the tiles.
 3. Tiles: each is what the one below it hashes to, up to the root of the checkpoint.
 4. Signatures: entry 0 introduces the authority key, which signs the statements of all others; each envelope is signed
    by a key of the purpose that its kind asks for, on record before it and not ended before it; a revocation voids what its
    key signed since its last good size.
 5. Batches: the samples right before a batch entry hash to the root that its collector signed.
 6. Words: prompts and completions open the commitments of their samples; those that are gone are named by an erasure that
    two people signed into the log.

A failure hides no other: the pass goes on with what the tiles say. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from sqlmodel import Session, col, select

from provenance.attestation.envelope import Envelope, split_entry
from provenance.attestation.keychain import Keychain
from provenance.attestation.statement import Statement
from provenance.errors import ProvenanceError, SignatureError
from provenance.ledger.checkpoint import open_checkpoint
from provenance.ledger.edge import TileEdge
from provenance.ledger.findings import Audit
from provenance.ledger.merkle import HASH_BYTES, tree_root
from provenance.ledger.note import VerifierKey
from provenance.ledger.reading import MALFORMED, UNREADABLE, Reading, SegmentBytes, read_all
from provenance.ledger.tiles import TILE_WIDTH
from provenance.store.log import find_content, find_tile, get_head, iterate_entries
from provenance.store.ranges import IndexSet, parse_runs
from provenance.store.tables import ContentSegment, EntrySegment, LogHead

MAX_GAP = 100_000  # missing entries that the pass walks over by their tiles


def audit_log(
    session: Session,
    vkeys: Sequence[VerifierKey],
    *,
    signed: tuple[int, bytes] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _size: None,
) -> Audit:
    """Check everything that `session`'s database holds of the log.

    Args:
        session: a read session; one snapshot is checked.
        vkeys: the log's verifier keys, from elsewhere than this database.
        signed: size and root of the sign-once register, read before `session` was opened.
        workers: processes that read segments; the outcome is the same for any number.
        progress: is told how many of how many entries are done.
    Returns:
        The outcome; whatever fails is in it.
    Raises:
        NotFoundError: there is no log.
    """
    return _Pass(session, get_head(session), progress).run(vkeys, signed, workers)


class _Pass:
    """The state of one pass: the tree as it grows, the keys as they appear, the batch that is open."""

    def __init__(self, session: Session, head: LogHead, progress: Callable[[int, int], None]) -> None:
        self._session, self._head, self._progress = session, head, progress
        self._audit = Audit(size=head.size)
        self._edge = TileEdge()
        self._chain = Keychain()
        self._open: list[tuple[int, bytes]] = []  # samples that no batch has closed yet, with their leaf hashes
        self._tile: tuple[int, bytes] = (-1, b"")
        self._asked: dict[str, int] = {}  # erasure -> the entry that asked for it, beside which its list lies
        self._agreed: dict[str, str] = {}  # erasure that was approved -> digest of its list
        self._gone: list[int] = []  # samples without words

    def run(self, vkeys: Sequence[VerifierKey], signed: tuple[int, bytes] | None, workers: int) -> Audit:
        self._check_checkpoint(vkeys, signed)
        with closing(read_all(self._segments(), workers)) as readings:
            for reading in readings:
                self._take_reading(reading)
                self._progress(self._edge.size, self._head.size)
        if self._open:
            self._add_unclosed()
        self._check_root()
        self._check_erased()
        return self._audit

    # 1
    def _check_checkpoint(self, vkeys: Sequence[VerifierKey], signed: tuple[int, bytes] | None) -> None:
        head = self._head
        try:
            said = open_checkpoint(head.checkpoint, vkeys)
            if (said.origin, said.size, said.root) != (head.origin, head.size, head.root):
                self._audit.add(
                    1, None, f"the checkpoint speaks of {said.size} entries and another root than the head row"
                )
        except ProvenanceError as exc:
            self._audit.add(1, None, f"the checkpoint does not verify: {exc.detail}")

        if signed is not None and (head.size < signed[0] or (head.size == signed[0] and head.root != signed[1])):
            said_before = f"a tree of {signed[0]} entries with root {signed[1].hex()} was signed before"
            self._audit.add(1, None, f"{said_before}: this database is older, or another (a restored backup?)")

    # 2
    def _segments(self) -> Iterator[SegmentBytes | Reading]:
        """Segments in order; where entries are missing, a reading of nothing stands for them."""
        expected = 0
        query = select(EntrySegment.first_index).order_by(col(EntrySegment.first_index))
        for start in self._session.exec(query).all():
            if start > expected:
                self._audit.add(2, expected, f"entries {expected} to {start - 1} are missing")
                if start - expected > MAX_GAP:
                    return
                yield Reading(expected, [None] * (start - expected), [False] * (start - expected))
            stored = self._load_segment(start)
            if start < expected or start + stored.count > self._head.size:
                said = f"a segment at entry {start} overlaps, or lies beyond the log"
                self._audit.add(2, min(start, self._head.size), said)
            if stored.taken and start >= expected:
                yield stored
                expected = start + stored.taken
        if expected < self._head.size:
            self._audit.add(2, expected, f"entries {expected} to {self._head.size - 1} are missing")

    def _load_segment(self, start: int) -> SegmentBytes:
        entries, words = self._session.get_one(EntrySegment, start), self._session.get(ContentSegment, start)
        self._session.expunge(entries)
        taken = max(0, min(entries.count, self._head.size - start))
        if words is None:
            return SegmentBytes(start, entries.count, taken, entries.frames)
        self._session.expunge(words)
        return SegmentBytes(start, entries.count, taken, entries.frames, words.frames, words.count)

    def _take_reading(self, reading: Reading) -> None:
        for finding in reading.findings:
            self._audit.take(finding)
        self._audit.entries += len(reading.leaves)
        self._audit.words += reading.words
        self._audit.erased += len(reading.gone)
        self._gone.extend(reading.gone)
        leaves = self._check_leaves(reading)
        for index, (leaf, sample) in enumerate(zip(reading.leaves, reading.samples, strict=True), reading.first):
            if leaf is None:
                self._open = []
            elif sample:
                self._open.append((index, leaf))
            elif index in reading.signed:
                self._take_signed(index, *reading.signed[index])
        self._check_tiles(self._edge.extend(leaves))

    def _check_leaves(self, reading: Reading) -> list[bytes]:
        """The leaf hashes to go on with: what the tiles say, where there is a tile."""
        found = list(map(self._stored_leaf, range(reading.first, reading.first + len(reading.leaves))))
        if found != reading.leaves:
            for index, (stored, leaf) in enumerate(zip(found, reading.leaves, strict=True), reading.first):
                if stored is None:
                    self._audit.add(3, index, f"the tiles hold no hash of entry {index}", exact=False)
                elif leaf is not None and stored != leaf:
                    said = f"entry {index} hashes to {leaf.hex()}; the log's tile says {stored.hex()}"
                    self._audit.add(2, index, said)
        return [stored or leaf or bytes(HASH_BYTES) for stored, leaf in zip(found, reading.leaves, strict=True)]

    def _stored_leaf(self, index: int) -> bytes | None:
        number, position = divmod(index, TILE_WIDTH)
        if self._tile[0] != number:
            self._tile = (number, find_tile(self._session, 0, number) or b"")
        value = self._tile[1][position * HASH_BYTES : (position + 1) * HASH_BYTES]
        return value if len(value) == HASH_BYTES else None

    # 3
    def _check_tiles(self, changed: Mapping[tuple[int, int], bytes]) -> None:
        for (level, number), hashes in changed.items():
            if level > 0 and len(hashes) == TILE_WIDTH * HASH_BYTES:
                self._check_tile(level, number, hashes)

    def _check_tile(self, level: int, number: int, hashes: bytes) -> None:
        if find_tile(self._session, level, number) != hashes:
            first = number * TILE_WIDTH ** (level + 1)
            said = f"tile {level}/{number} is not what the tiles below it hash to (entries from {first} on)"
            self._audit.add(3, min(first, max(0, self._head.size - 1)), said, exact=False)

    def _check_root(self) -> None:
        for level, tile in enumerate(self._edge.levels[1:], 1):
            if tile:
                self._check_tile(level, (self._edge.size >> (8 * level)) // TILE_WIDTH, b"".join(tile))
        if self._edge.root() != self._head.root:
            self._audit.add(
                3, None, f"the tiles hash to {self._edge.root().hex()}; the root is {self._head.root.hex()}"
            )

    # 4
    def _take_signed(self, index: int, statement: Statement, envelope: Envelope) -> None:
        try:
            self._check_signed(index, statement, envelope)
        except ProvenanceError as exc:
            self._audit.add(4 if isinstance(exc, SignatureError) else 2, index, f"entry {index}: {exc.detail}")
        except MALFORMED as exc:
            self._audit.add(2, index, f"entry {index} is malformed: {exc}")

    def _check_signed(self, index: int, statement: Statement, envelope: Envelope) -> None:
        if statement.kind == "key":
            self._take_key(index, statement.predicate, envelope)
        else:
            self._chain.check(index, statement.kind, envelope)
        self._audit.signatures += 1
        if statement.kind == "erasure":
            self._take_erasure(index, statement.predicate)
        if statement.kind == "batch":
            self._check_batch(index, statement.predicate)
        elif self._open:
            self._add_unclosed()

    def _add_unclosed(self) -> None:
        first, self._open = self._open[0][0], []
        self._audit.add(5, first, f"the samples from entry {first} on are closed by no batch entry", exact=False)

    def _take_key(self, index: int, said: Mapping[str, Any], envelope: Envelope) -> None:
        self._chain.take(index, said, envelope)
        key = self._chain.keys.get(said["keyid"])
        if key is not None and key.ended is not None and key.ended < index and said["state"] == "revoked":
            self._check_again(key.ended, index)

    def _check_again(self, start: int, stop: int) -> None:
        """What was taken for good before its key was revoked; the entries from `start` on have passed already."""
        with suppress(*UNREADABLE):  # named when it was read first
            for index, entry in iterate_entries(self._session, start, stop):
                try:
                    statement, envelope = split_entry(entry)
                    if envelope is not None and statement.kind not in ("key", "sample"):
                        self._chain.check(index, statement.kind, envelope)
                except ProvenanceError as exc:
                    self._audit.add(4, index, f"entry {index}: {exc.detail}")

    # 5
    def _check_batch(self, index: int, said: Mapping[str, Any]) -> None:
        samples, self._open = self._open, []
        first = samples[0][0] if samples else index
        root = f"sha256:{tree_root([leaf for _, leaf in samples]).hex()}"
        if len(samples) != said["count"] or first != index - len(samples):
            self._audit.add(
                5, first, f"batch {index} closes {said['count']} samples; {len(samples)} stand before it", exact=False
            )
        elif root != said["root"]:
            text = f"samples {first} to {index - 1} hash to {root}; batch {index} signs {said['root']}"
            self._audit.add(5, first, text, exact=False)
        else:
            self._audit.batches += 1

    # 6
    def _take_erasure(self, index: int, said: Mapping[str, Any]) -> None:
        if said["phase"] == "requested":
            self._asked.setdefault(said["id"], index)
        elif said["approver"] not in (None, said["requester"]):
            self._agreed[said["id"]] = said["indices_digest"]

    def _check_erased(self) -> None:
        granted = [found for key in self._agreed if (found := self._load_list(key)) is not None]
        for index in self._gone:
            if not any(index in indices for indices in granted):
                self._audit.add(6, index, f"the words of entry {index} are gone, and no erasure on record names it")

    def _load_list(self, key: str) -> IndexSet | None:
        """The samples of an erasure, if the list that is stored is the one that was signed."""
        try:
            content = find_content(self._session, self._asked[key])
            found = parse_runs(content["runs"] if content else [])
        except (ProvenanceError, *UNREADABLE, *MALFORMED):
            return None
        return found if found.digest == self._agreed[key] else None
