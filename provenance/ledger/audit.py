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

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
import zstandard
from sqlmodel import Session, col, select

from provenance.attestation.envelope import Envelope, parse_entry, read_envelope
from provenance.attestation.keychain import Keychain
from provenance.attestation.predicates import check_predicate
from provenance.attestation.statement import Statement
from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, canonical_bytes, verify_commitment
from provenance.errors import ProvenanceError, SignatureError, StatementError
from provenance.ledger.checkpoint import open_checkpoint
from provenance.ledger.edge import TileEdge
from provenance.ledger.findings import Audit
from provenance.ledger.merkle import HASH_BYTES, leaf_hash, tree_root
from provenance.ledger.note import VerifierKey
from provenance.ledger.tiles import TILE_WIDTH
from provenance.store.log import find_content, find_tile, get_head, iterate_entries
from provenance.store.ranges import IndexSet, parse_runs
from provenance.store.segment import read_item, unpack_segment
from provenance.store.tables import ContentSegment, EntrySegment, LogHead

MAX_GAP = 100_000  # missing entries that the pass walks over by their tiles
_UNREADABLE = (zstandard.ZstdError, struct.error, IndexError, ValueError, MemoryError)
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


def audit_log(
    session: Session,
    vkeys: Sequence[VerifierKey],
    *,
    signed: tuple[int, bytes] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _size: None,
) -> Audit:
    """Check everything that `session`'s database holds of the log.

    Args:
        session: a read session; one snapshot is checked.
        vkeys: the log's verifier keys, from elsewhere than this database.
        signed: size and root of the sign-once register, read before `session` was opened.
        progress: is told how many of how many entries are done.
    Returns:
        The outcome; whatever fails is in it.
    Raises:
        NotFoundError: there is no log.
    """
    return _Pass(session, get_head(session), progress).run(vkeys, signed)


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

    def run(self, vkeys: Sequence[VerifierKey], signed: tuple[int, bytes] | None) -> Audit:
        self._check_checkpoint(vkeys, signed)
        for start, items, unreadable in self._segments():
            leaves = [self._check_entry(start + at, item) for at, item in enumerate(items)]
            self._check_tiles(self._edge.extend(leaves))
            if not unreadable:
                self._check_words(start, items)
            self._progress(self._edge.size, self._head.size)
        if self._open:
            first = self._open[0][0]
            self._audit.add(5, first, f"the samples from entry {first} on are closed by no batch entry", exact=False)
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
    def _segments(self) -> Iterator[tuple[int, list[bytes | None], bool]]:
        """Segments in order: first index, entries (None where unreadable), and whether any is unreadable."""
        expected = 0
        query = select(EntrySegment.first_index).order_by(col(EntrySegment.first_index))
        for start in self._session.exec(query).all():
            row = self._session.get_one(EntrySegment, start)
            if start > expected:
                self._audit.add(2, expected, f"entries {expected} to {start - 1} are missing")
                if start - expected > MAX_GAP:
                    return
                yield expected, [None] * (start - expected), True
            items = _read_all(row.frames, row.count)
            self._session.expunge(row)
            if start < expected or start + len(items) > self._head.size:
                self._audit.add(
                    2, min(start, self._head.size), f"a segment at entry {start} overlaps, or lies beyond the log"
                )
                items = items[: max(0, self._head.size - start)] if start >= expected else []
            if items:
                yield start, items, None in items
                expected = start + len(items)
        if expected < self._head.size:
            self._audit.add(2, expected, f"entries {expected} to {self._head.size - 1} are missing")

    def _check_entry(self, index: int, entry: bytes | None) -> bytes:
        """The leaf hash to go on with: what the tile says, where there is a tile."""
        self._audit.entries += 1
        stored = self._stored_leaf(index)
        if entry is None:
            self._audit.add(2, index, f"entry {index} cannot be read")
            self._open = []
            return stored or bytes(HASH_BYTES)
        leaf = leaf_hash(entry)
        if stored is None:
            self._audit.add(3, index, f"the tiles hold no hash of entry {index}", exact=False)
        elif stored != leaf:
            self._audit.add(2, index, f"entry {index} hashes to {leaf.hex()}; the log's tile says {stored.hex()}")
        try:
            statement = parse_entry(entry)
            check_predicate(statement.kind, statement.predicate)
            self._check_statement(index, statement, entry, leaf)
        except ProvenanceError as exc:
            self._audit.add(4 if isinstance(exc, SignatureError) else 2, index, f"entry {index}: {exc.detail}")
        except _MALFORMED as exc:
            self._audit.add(2, index, f"entry {index} is malformed: {exc}")
        return stored or leaf

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
    def _check_statement(self, index: int, statement: Statement, entry: bytes, leaf: bytes) -> None:
        if statement.kind == "sample":
            self._open.append((index, leaf))
            return
        envelope = read_envelope(entry)
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
            first, self._open = self._open[0][0], []
            self._audit.add(5, first, f"the samples from entry {first} on are closed by no batch entry", exact=False)

    def _take_key(self, index: int, said: Mapping[str, Any], envelope: Envelope) -> None:
        self._chain.take(index, said, envelope)
        key = self._chain.keys.get(said["keyid"])
        if key is not None and key.ended is not None and key.ended < index and said["state"] == "revoked":
            self._check_again(key.ended, index)

    def _check_again(self, start: int, stop: int) -> None:
        """What was taken for good before its key was revoked; the entries from `start` on have passed already."""
        with suppress(*_UNREADABLE):  # named when it was read first
            for index, entry in iterate_entries(self._session, start, stop):
                try:
                    statement = parse_entry(entry)
                    if statement.kind not in ("key", "sample"):
                        self._chain.check(index, statement.kind, read_envelope(entry))
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
    def _check_words(self, start: int, entries: Sequence[bytes | None]) -> None:
        row = self._session.get(ContentSegment, start)
        words = _read_all(row.frames, row.count) if row else []
        if row is not None:
            self._session.expunge(row)
        words += [b""] * (len(entries) - len(words))
        for index, (entry, item) in enumerate(zip(entries, words, strict=False), start):
            try:
                self._check_opening(index, entry, item)
            except (ProvenanceError, *_MALFORMED) as exc:
                detail = exc.detail if isinstance(exc, ProvenanceError) else f"malformed: {exc}"
                self._audit.add(6, index, f"the words of entry {index} do not open its commitments: {detail}")

    def _check_opening(self, index: int, entry: bytes | None, item: bytes | None) -> None:
        said = parse_entry(entry or b"")
        if said.kind != "sample":
            return  # the text of terms and the like: its statement names its digest, and it is no secret
        if item == b"":
            self._audit.erased += 1
            self._gone.append(index)
            return
        if item is None:
            raise StatementError("they cannot be read")
        words = orjson.loads(item)
        for name, domain in (("prompt", PROMPT_DOMAIN), ("completion", COMPLETION_DOMAIN)):
            salt = bytes.fromhex(words[f"{name}_salt"])
            verify_commitment(said.predicate[f"{name}_commitment"], domain, salt, canonical_bytes(words[name]))
        self._audit.words += 1

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
        except (ProvenanceError, *_UNREADABLE, *_MALFORMED):
            return None
        return found if found.digest == self._agreed[key] else None


def _read_all(frames: bytes, count: int) -> list[bytes | None]:
    """The items of a segment; None for each that its frame no longer gives."""
    try:
        items: list[bytes | None] = list(unpack_segment(frames))
        if len(items) == count:
            return items
    except _UNREADABLE:
        pass
    return [_read_one(frames, position) for position in range(count)]


def _read_one(frames: bytes, position: int) -> bytes | None:
    try:
        return read_item(frames, position)
    except _UNREADABLE:
        return None
