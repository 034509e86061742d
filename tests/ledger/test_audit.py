from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provenance.capture.sample import parse_samples
from provenance.ledger.audit import audit_log
from provenance.ledger.findings import Audit
from provenance.ledger.keys import SignOnce, read_index
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.note import parse_vkey
from provenance.runtime import open_runtime
from provenance.settings import Settings
from provenance.store.ranges import fold_indices
from provenance.store.segment import pack_segment, unpack_segment
from provenance.store.session import make_engine, read_session

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
SAMPLES = 300  # more than a tile


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose log holds keys, terms, policies and 300 samples."""
    folder = tmp_path_factory.mktemp("audit") / "data"
    runtime = open_runtime(Settings(data_dir=folder), clock=lambda: NOW)
    lines = "\n".join(
        f'{{"dataset":"d","teacher":{{"provider":"p","model":"m","route":"weights"}},"generated_at":"2026-11-20T10:00:00Z",'
        f'"prompt":"question {number}","completion":"answer {number}"}}'
        for number in range(SAMPLES)
    )
    runtime.recorder.record(parse_samples(lines.encode(), now=NOW, lines=True), source="api")
    runtime.close()
    return folder


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "data"))


def audit(data: Path, workers: int = 1) -> Audit:
    vkeys = [parse_vkey(item.vkey) for item in read_index(data / "keys")[1] if item.vkey]
    signed = SignOnce(data / "keys" / "signed").last()
    engine = make_engine(f"sqlite:///{data / 'provenance.db'}")
    try:
        with read_session(engine) as session:
            return audit_log(session, vkeys, signed=signed, workers=workers)
    finally:
        engine.dispose()


def execute(data: Path, statement: str, *values: Any) -> Any:
    """What somebody with the database file can do: the triggers go first."""
    with closing(sqlite3.connect(data / "provenance.db")) as database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:  # names that the database itself gave
            database.execute(f'DROP TRIGGER "{name}"')
        found = database.execute(statement, values).fetchall()
        database.commit()
        return found


def sample_segment(data: Path, table: str = "entry_segment") -> tuple[int, list[bytes]]:
    ((first, frames),) = execute(data, f"SELECT first_index, frames FROM {table} ORDER BY first_index DESC LIMIT 1")  # noqa: S608 - our own table names
    return first, unpack_segment(frames)


def rewrite(data: Path, change: Callable[[list[bytes]], None], table: str = "entry_segment") -> int:
    """Change items of the last segment; its first index."""
    first, items = sample_segment(data, table)
    change(items)
    execute(data, f"UPDATE {table} SET frames = ? WHERE first_index = ?", pack_segment(items), first)  # noqa: S608 - our own table names
    return first


def test_an_untouched_log_verifies_whole(data: Path) -> None:
    outcome = audit(data)
    assert outcome.ok, outcome.findings
    assert outcome.first_bad_index is None
    assert (outcome.entries, outcome.words, outcome.batches) == (outcome.size, SAMPLES, 1)
    assert outcome.signatures == outcome.size - SAMPLES


@pytest.mark.parametrize("position", [0, 1, 63, 64, 255, 299])
def test_a_changed_entry_is_named(data: Path, position: int) -> None:
    def change(items: list[bytes]) -> None:
        items[position] = items[position].replace(b'"role":"generator"', b'"role":"judge"')

    first = rewrite(data, change)
    assert audit(data).first_bad_index == first + position


def test_a_changed_entry_is_found_also_when_its_tile_was_changed_with_it(data: Path) -> None:
    first, items = sample_segment(data)
    items[7] = items[7].replace(b'"role":"generator"', b'"role":"judge"')
    execute(data, "UPDATE entry_segment SET frames = ? WHERE first_index = ?", pack_segment(items), first)
    number, position = divmod(first + 7, 256)
    ((hashes,),) = execute(data, "SELECT hashes FROM log_tile WHERE level = 0 AND number = ?", number)
    changed = hashes[: position * 32] + leaf_hash(items[7]) + hashes[(position + 1) * 32 :]
    execute(data, "UPDATE log_tile SET hashes = ? WHERE level = 0 AND number = ?", changed, number)
    outcome = audit(data)
    assert not outcome.ok
    assert {item.step for item in outcome.findings} >= {3, 5}
    assert outcome.first_bad_index is not None


def test_a_signature_that_is_not_the_collectors_is_found(data: Path) -> None:
    def change(items: list[bytes]) -> None:
        at = items[-1].index(b'"sig":"') + 7
        items[-1] = items[-1][:at] + (b"A" if items[-1][at : at + 1] != b"A" else b"B") + items[-1][at + 1 :]

    first = rewrite(data, change)
    outcome = audit(data)
    assert outcome.first_bad_index == first + SAMPLES
    assert {item.step for item in outcome.findings} >= {2, 4}


def test_a_broken_frame_is_named_by_its_first_entry(data: Path) -> None:
    ((first, frames),) = execute(
        data, "SELECT first_index, frames FROM entry_segment ORDER BY first_index DESC LIMIT 1"
    )
    broken = frames[:-40] + bytes(40)
    execute(data, "UPDATE entry_segment SET frames = ? WHERE first_index = ?", broken, first)
    outcome = audit(data)
    bad = outcome.first_bad_index
    assert bad is not None
    assert first <= bad < first + SAMPLES + 1


def test_missing_entries_are_named(data: Path) -> None:
    first, _ = sample_segment(data)
    execute(data, "DELETE FROM entry_segment WHERE first_index = ?", first)
    assert audit(data).first_bad_index == first


def test_missing_entries_in_the_middle_are_named(data: Path) -> None:
    ((first,),) = execute(data, "SELECT first_index FROM entry_segment ORDER BY first_index LIMIT 1 OFFSET 2")
    execute(data, "DELETE FROM entry_segment WHERE first_index = ?", first)
    outcome = audit(data)
    assert outcome.first_bad_index == first


def test_changed_words_are_named(data: Path) -> None:
    def change(items: list[bytes]) -> None:
        items[12] = items[12].replace(b"answer 12", b"answer 13")

    first = rewrite(data, change, "content_segment")
    outcome = audit(data)
    assert (outcome.first_bad_index, [item.step for item in outcome.findings]) == (first + 12, [6])


def agree(data: Path, index: int, **changes: Any) -> None:
    """Sign into the log that the words of `index` may go."""
    indices = fold_indices([index])
    said: dict[str, Any] = {
        "id": "era_1", "phase": "requested", "reason": "r", "requester": "a", "approver": None, "at": "2026-11-24T10:00:00Z",
        "count": 1, "tokens": 1, "indices_digest": indices.digest, "releases": [],
    }  # fmt: skip
    runtime = open_runtime(Settings(data_dir=data), clock=lambda: NOW)
    runtime.append("erasure", said, content={"runs": indices.runs})
    runtime.append("erasure", said | {"phase": "approved", "approver": "b"} | changes)
    runtime.close()


def empty_one(data: Path) -> int:
    def change(items: list[bytes]) -> None:
        items[12] = b""

    return rewrite(data, change, "content_segment") + 12


def test_words_that_two_people_agreed_to_erase_are_no_failure(data: Path) -> None:
    agree(data, empty_one(data))
    outcome = audit(data)
    assert outcome.ok, outcome.to_json()
    assert (outcome.words, outcome.erased) == (SAMPLES - 1, 1)


@pytest.mark.parametrize(
    "changes", [{"phase": "requested"}, {"approver": "a"}, {"approver": None}, {"indices_digest": "sha256:" + "0" * 64}]
)
def test_words_that_are_gone_without_two_people_s_word_are_named(data: Path, changes: dict[str, Any]) -> None:
    index = empty_one(data)
    assert audit(data).first_bad_index == index
    agree(data, index, **changes)
    outcome = audit(data)
    assert (outcome.first_bad_index, [item.step for item in outcome.findings]) == (index, [6])


def test_an_erasure_of_others_is_no_excuse(data: Path) -> None:
    index = empty_one(data)
    agree(data, index + 1)
    assert audit(data).first_bad_index == index


def test_content_that_is_gone_as_a_whole_is_named(data: Path) -> None:
    first = empty_one(data) - 12
    execute(data, "DELETE FROM content_segment WHERE first_index = ?", first)
    outcome = audit(data)
    assert (outcome.first_bad_index, outcome.failed) == (first, SAMPLES)


@pytest.mark.parametrize("level", [0, 1])
def test_a_changed_tile_is_found(data: Path, level: int) -> None:
    ((hashes,),) = execute(data, "SELECT hashes FROM log_tile WHERE level = ? AND number = 0", level)
    execute(data, "UPDATE log_tile SET hashes = ? WHERE level = ? AND number = 0", bytes(32) + hashes[32:], level)
    outcome = audit(data)
    assert outcome.first_bad_index == 0
    assert not outcome.ok


def test_another_root_in_the_head_is_found(data: Path) -> None:
    execute(data, "UPDATE log_head SET root = ?", bytes(32))
    outcome = audit(data)
    assert {item.step for item in outcome.findings} == {1, 3}


def test_a_restored_older_database_is_found(data: Path) -> None:
    SignOnce(data / "keys" / "signed").record(10_000, bytes(range(32)))
    outcome = audit(data)
    assert not outcome.ok
    assert "older" in outcome.findings[0].said


def test_a_head_that_promises_more_than_there_is_is_found(data: Path) -> None:
    execute(data, "UPDATE log_head SET size = ?", 2**40)
    outcome = audit(data)
    assert outcome.first_bad_index == outcome.entries


@pytest.mark.parametrize("table", [None, "entry_segment", "content_segment"])
def test_two_processes_find_what_one_finds(data: Path, table: str | None) -> None:
    def change(items: list[bytes]) -> None:
        items[12] = items[12].replace(b"generator", b"judge").replace(b"answer 12", b"answer 13")
        items[40] = b"{}"

    if table is not None:
        rewrite(data, change, table)
    alone, together = audit(data), audit(data, workers=2)
    assert together.to_json() == alone.to_json()
    assert alone.ok == (table is None)


def test_the_first_bad_index_is_named_also_behind_more_findings_than_are_kept(data: Path) -> None:
    index = empty_one(data)  # found last: an erasure that names it may stand anywhere behind it

    def change(items: list[bytes]) -> None:
        items[50:300] = [b"{}"] * 250

    rewrite(data, change)
    outcome = audit(data)
    assert (outcome.first_bad_index, len(outcome.findings)) == (index, 100)
    assert outcome.failed > 250
