"""Pages of the log: its checkpoint, keys and growth, and one entry."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial, reduce
from itertools import accumulate

from fastapi import APIRouter, Response
from sqlmodel import Session

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.links import entry_url
from provenance.api.routes.pages.sample import fill_proof
from provenance.api.views.log import EntryPage, GrowthRow, Key, KindCount, LogPage, Signature, WitnessRow
from provenance.attestation.envelope import parse_entry, parse_envelope
from provenance.errors import MalformedError, NotFoundError, VerificationError
from provenance.ledger.append import format_time
from provenance.ledger.checkpoint import open_checkpoint
from provenance.ledger.keys import KeyRing
from provenance.ledger.merkle import node_hash, tree_root
from provenance.ledger.note import parse_vkey
from provenance.ledger.quorum import Account, WitnessState
from provenance.ledger.tiles import TileHashes
from provenance.store.log import get_head, list_statements, load_tile, read_entry
from provenance.store.pages import count_kinds, list_appends
from provenance.store.tables import StatementRow

router = APIRouter()
SHOWN_APPENDS = 60


@add_page(router, "/log", "json", "csv")
def show_log(asked: PageDep) -> Response:
    """Is the record complete and unaltered, and how to check that."""
    return asked.answer(fill_log(asked))


@add_page(router, "/log/entries/{index}", "json")
def show_entry(index: int, asked: PageDep) -> Response:
    """One entry, whatever it records."""
    return asked.answer(fill_entry(asked, index))


def fill_log(asked: Asked) -> LogPage:
    """The page of the log; the check of the checkpoint is made now."""
    head = get_head(asked.session)
    problem, account = check_head(asked.session, asked.runtime.ring), asked.runtime.account()
    mirror = asked.runtime.mirror_state()
    appends, left_out = list_appends(asked.session, limit=SHOWN_APPENDS)
    return LogPage(
        origin=head.origin,
        size=head.size,
        root=head.root.hex(),
        checkpoint_note=head.checkpoint,
        checkpoint_at=head.updated_at,
        consistent=problem is None,
        problem=problem,
        checked_at=format_time(asked.runtime.clock()),
        keys=[_fill_key(row) for row in list_statements(asked.session, "key")[::-1]],
        growth=[GrowthRow(size, count, root_at(asked.session, size).hex()) for size, count in appends],
        growth_left_out=left_out,
        kinds=[KindCount(kind, count) for kind, count in count_kinds(asked.session).items()],
        witnesses=[_fill_witness(account, item) for item in account.witnesses],
        published_note=asked.runtime.cosigned(),
        published_size=account.published_size,
        hold=account.hold,
        held_since=_format_posix(account.held_since),
        mirror=None if mirror is None else mirror.said,
        mirror_works=mirror is None or mirror.problem is None,
    )


def check_head(session: Session, ring: KeyRing) -> str | None:
    """What is wrong with the newest checkpoint, or None: the log's keys signed it, and the stored tiles have its root.

    Entries are not read again for this; `provenance log verify` does.
    """
    head = get_head(session)
    try:
        signed = open_checkpoint(head.checkpoint, ring.vkeys)
        computed = root_at(session, head.size)
    except (MalformedError, VerificationError, NotFoundError) as exc:
        return exc.detail
    if (signed.size, signed.root) != (head.size, head.root):
        return f"the signed checkpoint is of {signed.size} entries, the log holds {head.size}, or their roots differ"
    if computed != head.root:
        return f"the stored tiles of {head.size} entries have the root {computed.hex()}, signed was {head.root.hex()}"
    return None


def root_at(session: Session, size: int) -> bytes:
    """The root of the log when it held `size` entries, out of its tiles: a few hashes for each level."""
    if size == 0:
        return tree_root([])
    hashes = TileHashes(size, partial(load_tile, session))
    levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
    starts = accumulate((1 << level for level in levels), initial=0)
    complete = [hashes.read(level, start >> level) for level, start in zip(levels, starts, strict=False)]
    return reduce(lambda right, left: node_hash(left, right), reversed(complete))


def fill_entry(asked: Asked, index: int) -> EntryPage:
    """The page of the entry at `index`.

    Raises:
        NotFoundError: the log is not that long.
    """
    entry = read_entry(asked.session, index)
    statement = parse_entry(entry)
    signatures = () if statement.kind == "sample" else parse_envelope(entry)[1]
    names = {row.predicate["keyid"]: row.predicate["name"] for row in list_statements(asked.session, "key")}
    return EntryPage(
        index=index,
        kind=statement.kind,
        size_bytes=len(entry),
        subjects={item.name: next(iter(item.digest.values()), "") for item in statement.subjects},
        predicate=statement.predicate,
        signatures=[Signature(item.keyid, names.get(item.keyid)) for item in signatures],
        proof=fill_proof(asked.runtime.prover(asked.session, newest=index), index, entry),
        page_url=entry_url(statement.kind, index, statement.predicate),
    )


def _fill_witness(account: Account, item: WitnessState) -> WitnessRow:
    key = parse_vkey(item.vkey)
    return WitnessRow(
        label=item.name,
        name=key.name,
        keyid=key.key_id.hex(),
        url=item.url,
        state=account.describe(item),
        problem=item.problem,
        size=item.size,
        cosigned_at=_format_posix(item.cosigned_at),
        asked_at=_format_posix(item.asked_at),
    )


def _format_posix(seconds: int | None) -> str | None:
    return None if seconds is None else format_time(datetime.fromtimestamp(seconds, UTC))


def _fill_key(row: StatementRow) -> Key:
    said = row.predicate
    names = ("purpose", "name", "algorithm", "keyid", "state", "valid_from", "valid_to")
    return Key(
        **{name: said[name] for name in names},
        vkey=said.get("vkey"),
        public_key=said.get("public_key"),
        entry_index=row.index,
    )
