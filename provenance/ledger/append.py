"""The one writer of the log.

An append reads like a recipe: lock the head; hash the new leaves into the right edge; sign the new checkpoint; write
entries, content, tiles and index rows; swap the head; commit; only then answer and publish.

- Requests that wait together become one transaction and one signature (group commit).
- Two writers are harmless: the head row is locked, a writer whose edge is stale reads it again, and the head is only
  swapped if it is still what was locked.
- If we stop before the commit, nothing happened: the signature never left this process. If we stop after it, the entries
  are there and the sign-once register learns of them at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, insert, text
from sqlmodel import Session, col, select

from provenance.attestation.envelope import parse_entry
from provenance.attestation.statement import Statement
from provenance.canonical import sha256_digest
from provenance.errors import (
    ConflictError,
    FatalError,
    FieldError,
    LedgerConflictError,
    LedgerForkError,
    StatementError,
)
from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
from provenance.ledger.edge import TileEdge
from provenance.ledger.keys import KeyRing, SignOnce
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.tiles import MAX_ENTRY_BYTES, TILE_WIDTH
from provenance.store.index import index_drafts
from provenance.store.log import HASH_BYTES, find_head, find_tile
from provenance.store.samples_index import SampleGroup
from provenance.store.segment import pack_segment
from provenance.store.tables import ContentSegment, EntrySegment, Idempotency, LogHead

Clock = Callable[[], datetime]
KEYS_AT_ONCE = 500  # of one query: SQLite takes a bounded number of parameters


@dataclass(frozen=True)
class Draft:
    """What one request wants to append, made ready by `make_draft`: nothing dear is left to do under the lock.

    `said` is what the index needs to know of the entries. `words` are the erasable contents of the first `words_count` of
    them; both they and `frames` are packed segments.
    """

    entries: Sequence[bytes]
    said: Sequence[Statement | SampleGroup]
    leaves: Sequence[bytes]
    frames: bytes
    words: bytes = b""
    words_count: int = 0
    idempotency_key: str | None = None
    request_digest: str = ""


@dataclass(frozen=True)
class Receipt:
    """Where the entries of a draft stand. `replayed`: the same request was answered before and nothing was added."""

    first_index: int
    count: int
    tree_size: int
    checkpoint: str
    replayed: bool = False


def make_draft(
    entries: Sequence[bytes],
    contents: Sequence[bytes] = (),
    *,
    said: Sequence[Statement | SampleGroup] | None = None,
    leaves: Sequence[bytes] | None = None,
    idempotency_key: str | None = None,
    request_digest: str | None = None,
) -> Draft:
    """Prepare entries for the append: parse, check their size, hash, pack. This is the dear part; it needs no lock.

    Args:
        entries: canonical bytes, one or more.
        contents: the erasable words of the first entries; empty bytes where one has none.
        said: what the entries say, from whoever has just written them; parsed from the entries if not given.
        leaves: their leaf hashes, likewise.
        idempotency_key: names the request; the same key never appends twice.
        request_digest: what the request says; of the entries if not given.
    Raises:
        StatementError: no entry, one that is no statement, or one larger than 65,535 bytes.
    """
    if not entries or len(contents) > len(entries):
        raise StatementError(f"{len(entries)} entries with {len(contents)} contents; expected at least one entry")
    for position, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_BYTES:
            expected = f"an entry of at most {MAX_ENTRY_BYTES:,} bytes"
            raise StatementError(
                f"entry {position} of the request has {len(entry):,} bytes; expected {expected}",
                FieldError(f"entries[{position}]", f"{len(entry):,} bytes", expected),
            )
    leaves = leaves or [leaf_hash(entry) for entry in entries]
    return Draft(
        entries=entries,
        said=said or [parse_entry(entry) for entry in entries],
        leaves=leaves,
        frames=pack_segment(entries),
        words=pack_segment(contents),
        words_count=len(contents),
        idempotency_key=idempotency_key,
        request_digest=request_digest or sha256_digest(b"".join(leaves)),
    )


def append_entries(
    session: Session, edge: TileEdge, drafts: Sequence[Draft], *, ring: KeyRing, sign_once: SignOnce, now: datetime
) -> list[Receipt]:
    """Append all drafts as one group inside `session`; the caller commits, then records the root in `sign_once`.

    Args:
        session: a write session; everything happens in its transaction.
        edge: the right edge as this writer knows it; read again if stale, then moved. After a rollback it is worthless.
        drafts: what to append, in order.
        ring: the keys; those of the log sign.
        sign_once: the register of what was signed.
        now: the time of the new head.
    Returns:
        Where each draft stands.
    Raises:
        FatalError: the log was not created.
        LedgerForkError: the database is older than the register, or its tiles do not hash to its head.
        LedgerConflictError: somebody moved the head in spite of the lock.
        StatementError: entries that have no place in the index.
    """
    # 1. Lock. A crash here leaves nothing behind.
    head = find_head(session, lock=True)
    if head is None:
        raise FatalError("the log has no head; `provenance serve` creates it")
    # What was signed is never larger than a head that we hold. Checked on the head and not on the new tree alone: a
    # database from a stale backup could outgrow the last signed size in one append, and nobody would see the fork.
    sign_once.check(head.size, head.root)
    if head.size != edge.size or head.root != edge.root():
        _load_edge(session, edge, head)
    # 2. Hash.
    starts: list[int] = []
    leaves: list[bytes] = []
    for draft in drafts:
        starts.append(head.size + len(leaves))
        leaves.extend(draft.leaves)
    tiles = edge.extend(leaves)
    # 3. Sign. The signature stays in this transaction until the commit.
    checkpoint = Checkpoint(head.origin, edge.size, edge.root())
    note = sign_checkpoint(checkpoint, ring.log_signers)
    # 4. Write. A crash here or below, before the commit, rolls all of it back.
    _write_segments(session, starts, drafts)
    _write_tiles(session, tiles)
    index_drafts(session, [(start, draft.said) for start, draft in zip(starts, drafts, strict=True)])
    # 5. Swap the head.
    _swap_head(session, head, checkpoint, note, now)
    receipts = [
        Receipt(start, len(draft.entries), checkpoint.size, note) for start, draft in zip(starts, drafts, strict=True)
    ]
    _remember(session, drafts, receipts, now)
    return receipts


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _load_edge(session: Session, edge: TileEdge, head: LogHead) -> None:
    levels: list[list[bytes]] = []
    count = head.size
    while count:
        number, width = divmod(count, TILE_WIDTH)
        data = (find_tile(session, len(levels), number) or b"") if width else b""
        levels.append([data[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)])
        count = number
    edge.load(head.size, levels)
    if edge.root() != head.root:
        raise LedgerForkError(
            f"the tiles of the log do not hash to the root of its head at size {head.size}; "
            "nothing was appended. Run `provenance log verify`."
        )


_SWAP_HEAD = text(
    "UPDATE log_head SET size = :size, root = :root, checkpoint = :checkpoint, updated_at = :updated_at "
    "WHERE id = :id AND size = :old_size AND root = :old_root"
)


def _swap_head(session: Session, head: LogHead, checkpoint: Checkpoint, note: str, now: datetime) -> None:
    new = {"size": checkpoint.size, "root": checkpoint.root, "checkpoint": note, "updated_at": format_time(now)}
    old = {"id": head.id, "old_size": head.size, "old_root": head.root}
    if session.connection().execute(_SWAP_HEAD, new | old).rowcount != 1:
        raise LedgerConflictError("the head of the log moved under the lock; nothing was appended, try again")


_ADD_ENTRIES, _ADD_WORDS, _REMEMBER = insert(EntrySegment), insert(ContentSegment), insert(Idempotency)


def _write_segments(session: Session, starts: Sequence[int], drafts: Sequence[Draft]) -> None:
    placed, connection = list(zip(starts, drafts, strict=True)), session.connection()
    entries = [{"first_index": at, "count": len(draft.entries), "frames": draft.frames} for at, draft in placed]
    connection.execute(_ADD_ENTRIES, entries)
    words = [
        {"first_index": at, "count": draft.words_count, "frames": draft.words}
        for at, draft in placed
        if draft.words_count
    ]
    if words:
        connection.execute(_ADD_WORDS, words)


# Both databases read it so; the ORM would first ask for each tile.
_PUT_TILE = text(
    "INSERT INTO log_tile (level, number, hashes) VALUES (:level, :number, :hashes) "
    "ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
)


def _write_tiles(session: Session, tiles: dict[tuple[int, int], bytes]) -> None:
    rows = [{"level": level, "number": number, "hashes": hashes} for (level, number), hashes in tiles.items()]
    session.connection().execute(_PUT_TILE, rows)


def _remember(session: Session, drafts: Sequence[Draft], receipts: Sequence[Receipt], now: datetime) -> None:
    rows = [
        {
            "key": draft.idempotency_key,
            "request_digest": draft.request_digest,
            "status": 201,
            "body": {
                "first_index": receipt.first_index,
                "count": receipt.count,
                "tree_size": receipt.tree_size,
                "checkpoint": receipt.checkpoint,
            },
            "created_at": format_time(now),
        }
        for draft, receipt in zip(drafts, receipts, strict=True)
        if draft.idempotency_key
    ]
    if rows:
        session.connection().execute(_REMEMBER, rows)


def find_replay(session: Session, key: str, request_digest: str) -> Receipt | None:
    """The receipt that this Idempotency-Key was given, or None.

    Raises:
        ConflictError: the key was used for another request.
    """
    return receipt_of(find_remembered(session, [key]), key, request_digest)


Remembered = Mapping[str, tuple[str, Mapping[str, Any]]]  # key -> digest of its request, body of its answer
_FIND_REMEMBERED = select(Idempotency.key, Idempotency.request_digest, Idempotency.body).where(
    col(Idempotency.key).in_(bindparam("keys", expanding=True))
)


def find_remembered(session: Session, keys: Sequence[str]) -> Remembered:
    """What was answered under these Idempotency-Keys, as far as anything was; one query for some hundreds."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for start in range(0, len(keys), KEYS_AT_ONCE):
        rows = session.connection().execute(_FIND_REMEMBERED, {"keys": keys[start : start + KEYS_AT_ONCE]})
        found.update((key, (digest, body)) for key, digest, body in rows)
    return found


def receipt_of(remembered: Remembered, key: str, request_digest: str) -> Receipt | None:
    """The receipt of `key` among these, or None.

    Raises:
        ConflictError: the key was used for another request.
    """
    if key not in remembered:
        return None
    digest, body = remembered[key]
    if digest != request_digest:
        expected = "a new key, or the same request as before"
        raise ConflictError(
            f"Idempotency-Key {key!r} was used for another request", FieldError("Idempotency-Key", key, expected)
        )
    return Receipt(**body, replayed=True)
