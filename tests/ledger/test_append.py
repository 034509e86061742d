"""The append as one transaction: receipts, what is refused, and a fault before and after each of its steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from provenance.attestation.envelope import parse_entry
from provenance.canonical import canonical_bytes
from provenance.errors import LedgerConflictError, LedgerForkError, ProvenanceError, StatementError, UnavailableError
from provenance.ledger import append
from provenance.ledger.append import append_entries, make_draft
from provenance.ledger.edge import TileEdge
from provenance.ledger.keys import SignOnce
from provenance.ledger.merkle import leaf_hash
from provenance.store.log import find_content, get_head, read_entry
from provenance.store.session import read_session, write_session
from provenance.store.tables import LogTile
from tests.store.logs import NOW, Log, check_log, open_log


def _targets(log: Log) -> list[str]:
    """What the small entries of the log are about, in order, after the whole log was checked."""
    return [parse_entry(entry).predicate["target"] for entry in check_log(log.engine, log.ring)]


def test_entries_stand_where_the_receipt_says(log: Log) -> None:
    entries = [log.access(target) for target in "abc"]
    first, second = log.append("zero"), log.sequencer.append(make_draft(entries))
    assert (first.first_index, first.count, first.tree_size) == (0, 1, 1)
    assert (second.first_index, second.count, second.tree_size) == (1, 3, 4)
    with read_session(log.engine) as session:
        assert [read_entry(session, index) for index in (1, 2, 3)] == entries
        assert get_head(session).checkpoint == second.checkpoint
    assert _targets(log) == ["zero", "a", "b", "c"]


def test_drafts_of_one_group_get_one_checkpoint(log: Log) -> None:
    drafts = [make_draft([log.access("a")]), make_draft([log.access("b"), log.access("c")])]
    with write_session(log.engine) as session:
        first, second = append_entries(session, TileEdge(), drafts, ring=log.ring, sign_once=log.sign_once, now=NOW)
    assert (first.first_index, first.count, second.first_index, second.count) == (0, 1, 1, 2)
    assert first.checkpoint == second.checkpoint
    assert first.tree_size == second.tree_size == 3
    assert _targets(log) == ["a", "b", "c"]


def test_words_lie_beside_the_entries_that_have_some(log: Log) -> None:
    entries = [log.access(target) for target in "abc"]
    log.sequencer.append(make_draft(entries, [b'{"prompt":"p"}', b""]))
    with read_session(log.engine) as session:
        assert [find_content(session, index) for index in range(4)] == [{"prompt": "p"}, None, None, None]


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513, 700])
def test_a_writer_that_starts_anew_continues_from_the_tiles(sqlite_log: Log, size: int) -> None:
    entry = sqlite_log.access("same")
    sqlite_log.sequencer.append(make_draft([entry] * size))
    edge = TileEdge()
    with write_session(sqlite_log.engine) as session:
        append_entries(
            session, edge, [make_draft([entry])], ring=sqlite_log.ring, sign_once=sqlite_log.sign_once, now=NOW
        )
    assert edge.size == size + 1
    assert len(check_log(sqlite_log.engine, sqlite_log.ring)) == size + 1


def test_what_cannot_be_an_entry_is_refused_before_the_append(sqlite_log: Log) -> None:
    entry = sqlite_log.access("x")
    unsigned = canonical_bytes(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "x", "digest": {"sha256": "00"}}],
            "predicateType": "https://provenance-ledger.dev/access/v1",
            "predicate": {},
        }
    )
    for bad in ([], [b"not json"], [b"{}"], [entry + b" "], [entry, unsigned]):
        with pytest.raises(StatementError):
            make_draft(bad)
    with pytest.raises(StatementError, match="1 entries with 2 contents"):
        make_draft([entry], [b"", b""])


def test_an_entry_of_65535_bytes_fits_and_one_byte_more_does_not(sqlite_log: Log) -> None:
    # In base64 three bytes more of text are four more of entry; signatures and field names fill up the rest.
    sizes = {length: len(sqlite_log.access("x" * length)) for length in range(48_000, 49_000)}
    fits = max(length for length, size in sizes.items() if size <= 65_535)
    too_long = min(length for length, size in sizes.items() if size > 65_535)
    sqlite_log.append("x" * fits)
    with pytest.raises(StatementError, match="expected an entry of at most 65,535 bytes") as caught:
        make_draft([sqlite_log.access("small"), sqlite_log.access("x" * too_long)])
    assert caught.value.errors[0].field == "entries[1]"
    assert len(check_log(sqlite_log.engine, sqlite_log.ring)) == 1


def _append_one(session: Session, log: Log, target: str) -> None:
    draft = make_draft([log.access(target)])
    append_entries(session, TileEdge(), [draft], ring=log.ring, sign_once=log.sign_once, now=NOW)


def test_a_head_that_moved_under_the_lock_is_not_overwritten(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append("first")
    with Session(log.engine) as session:

        def meanwhile(*_arguments: Any) -> str:
            session.connection().execute(text("UPDATE log_head SET size = size + 1"))
            return "a note"

        monkeypatch.setattr("provenance.ledger.append.sign_checkpoint", meanwhile)
        with pytest.raises(LedgerConflictError):
            _append_one(session, log, "second")
        session.rollback()
    assert _targets(log) == ["first"]


def test_tiles_that_do_not_hash_to_the_head_stop_the_log(log: Log) -> None:
    log.append("a", "b", "c")
    with write_session(log.engine) as session:
        tile = session.exec(select(LogTile)).one()
        tile.hashes = leaf_hash(b"another") + tile.hashes[32:]
        session.add(tile)
    with Session(log.engine) as session, pytest.raises(LedgerForkError, match="do not hash to the root"):
        _append_one(session, log, "d")


# --- A fault before and after each step --------------------------------------------------------------------------

STEPS = ("find_head", "_load_edge", "sign_checkpoint", "_write_segments", "_write_tiles", "index_drafts", "_swap_head", "_remember")  # fmt: skip


def _break(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, moment: str, fault: Exception) -> Callable[[], bool]:
    """Let one call of `owner.name` fail, before it did anything or when it has done all; says whether it happened."""
    real = getattr(owner, name)
    calls: list[str] = []

    def broken(*arguments: Any, **keywords: Any) -> Any:
        if calls:
            return real(*arguments, **keywords)
        calls.append(name)
        if moment == "after":
            real(*arguments, **keywords)
        raise fault

    monkeypatch.setattr(owner, name, broken)
    return lambda: bool(calls)


FAULTS = [OperationalError("statement", {}, Exception("the disk is gone")), OSError(28, "No space left"), KeyError("x")]


@pytest.mark.parametrize("fault", FAULTS, ids=["database", "disk", "ours"])
@pytest.mark.parametrize("where", [(step, moment) for step in STEPS for moment in ("before", "after")], ids=" ".join)
def test_a_step_that_fails_leaves_nothing_behind(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[str, str], fault: Exception
) -> None:
    step, moment = where
    before = open_log(sqlite_url, tmp_path / "keys")
    before.append("a", "b", key="first")
    before.close()
    log = open_log(sqlite_url, tmp_path / "keys")  # a fresh writer, so that it loads its edge
    happened = _break(monkeypatch, append, step, moment, fault)
    with pytest.raises((ProvenanceError, KeyError)):
        log.append("lost", key="second")
    assert happened()
    assert _targets(log) == ["a", "b"]
    receipt = log.append("c", "d", key="second")  # the key of what failed is still free
    assert (receipt.first_index, receipt.tree_size, receipt.replayed) == (2, 4, False)
    assert _targets(log) == ["a", "b", "c", "d"]
    log.close()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_nothing_behind_on_postgres(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    log = open_log(postgres_url, tmp_path / "keys")
    with monkeypatch.context() as patch:
        happened = _break(patch, append, step, "after", OSError(28, "No space left"))
        if step == "_load_edge":  # an edge that is fresh need not be loaded
            log.append("a")
            log.sequencer._edge = TileEdge()
        with pytest.raises(UnavailableError, match="nothing was changed"):
            log.append("lost")
        assert happened()
    log.append("b")
    assert _targets(log)[-1] == "b"
    assert "lost" not in _targets(log)
    log.close()


def test_a_commit_that_fails_leaves_nothing_behind(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append("a")
    happened = _break(monkeypatch, Session, "commit", "before", FAULTS[0])
    with pytest.raises(UnavailableError, match="nothing was changed"):
        log.append("lost")
    assert happened()
    log.append("b")
    assert _targets(log) == ["a", "b"]


def test_a_commit_whose_answer_is_lost_counts_and_is_not_done_twice(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append("a")
    happened = _break(monkeypatch, Session, "commit", "after", FAULTS[0])
    assert log.append("b", "c").first_index == 1
    assert happened()
    log.append("d")
    assert _targets(log) == ["a", "b", "c", "d"]


def test_a_commit_of_unknown_end_is_not_said_to_have_changed_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    _break(monkeypatch, Session, "commit", "after", FAULTS[0])

    def gone(*_arguments: Any) -> bytes:
        raise FAULTS[0]

    with monkeypatch.context() as patch:
        patch.setattr("provenance.ledger.sequencer.read_entry", gone)
        with pytest.raises(UnavailableError, match="look whether the entries are there"):
            log.append("a")
    log.append("b")
    assert _targets(log) == ["a", "b"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_register_that_fails_after_the_commit_is_said_and_does_not_double(
    log: Log, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    _break(monkeypatch, SignOnce, "record", moment, UnavailableError("the register cannot be written"))
    with pytest.raises(UnavailableError, match="the entries from 0 on are in the log"):
        log.append("a", key="k")
    replayed = log.append("a", key="k")
    assert (replayed.first_index, replayed.replayed) == (0, True)
    log.append("b")
    assert _targets(log) == ["a", "b"]
    assert log.sign_once.last() is not None


# --- Sign once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 20])
def test_a_database_from_a_stale_backup_is_not_appended_to(sqlite_url: str, tmp_path: Path, count: int) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    log = open_log(sqlite_url, tmp_path / "keys")
    log.append("a", "b", "c")
    log.close()
    shutil.copyfile(path, tmp_path / "backup.db")
    log = open_log(sqlite_url, tmp_path / "keys")
    log.append("d", "e")
    log.close()
    shutil.copyfile(tmp_path / "backup.db", path)
    log = open_log(sqlite_url, tmp_path / "keys")
    others = [f"other {number}" for number in range(count)]  # 20 would outgrow the five that were signed
    with pytest.raises(
        LedgerForkError, match=r"a tree of 5 entries was signed before, this one has 3.*restored backup"
    ):
        log.append(*others)
    with pytest.raises(LedgerForkError):  # and it stays stopped
        log.append("one more")
    assert _targets(log) == ["a", "b", "c"]
    log.close()


def test_another_log_of_the_same_size_is_not_signed(sqlite_url: str, tmp_path: Path) -> None:
    shutil.copyfile(sqlite_url.removeprefix("sqlite:///"), tmp_path / "other.db")
    log = open_log(sqlite_url, tmp_path / "keys")
    log.append("a")
    log.close()
    other = open_log(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "keys")
    with pytest.raises(LedgerForkError, match="older than the register"):
        other.append("b")
    other.close()
