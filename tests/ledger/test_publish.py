"""The published files: enough to verify the log without us, at every moment, also after a crash on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import NotFoundError
from provenance.ledger import publish as module
from provenance.ledger.append import make_draft
from provenance.ledger.checkpoint import Checkpoint, open_checkpoint
from provenance.ledger.merkle import consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from provenance.ledger.note import parse_vkey
from provenance.ledger.publish import Publisher, publish, write_file
from provenance.ledger.tiles import Tile, TileHashes, format_tile_path, list_tiles, parse_entry_bundle, tile_width
from provenance.store.session import make_engine, read_session
from tests.store.logs import Log, check_log, rebuild_tiles


def _publish(log: Log, folder: Path) -> int:
    with read_session(log.engine) as session:
        return publish(session, folder, log.ring.vkey_lines)


def _grow(log: Log, size: int) -> None:
    count = size - len(_entries(log))
    log.sequencer.append(make_draft([log.access(f"{size}-{number}") for number in range(count)]))


def _entries(log: Log) -> list[bytes]:
    return check_log(log.engine, log.ring)


def verify_folder(folder: Path) -> tuple[Checkpoint, list[bytes]]:
    """What an outsider does with the published files: nothing but nouns of the ledger, no database, no key of ours."""
    vkeys = [parse_vkey(line) for line in (folder / "vkey").read_text().splitlines()]
    checkpoint = open_checkpoint((folder / "checkpoint").read_text(), vkeys)
    hashes = TileHashes(checkpoint.size, lambda level, index, width: _read(folder, Tile(level, index, width)))
    entries: list[bytes] = []
    for number in range((checkpoint.size + 255) // 256):
        width = tile_width(0, number, checkpoint.size)
        entries += parse_entry_bundle(_read(folder, Tile(None, number, width)), width)
    for index in {0, checkpoint.size // 2, checkpoint.size - 1} if entries else ():
        proof = inclusion_proof(index, checkpoint.size, hashes.read)
        verify_inclusion(leaf_hash(entries[index]), index, checkpoint.size, proof, checkpoint.root)
    rebuilt = rebuild_tiles([leaf_hash(entry) for entry in entries])
    for tile in list_tiles(checkpoint.size):
        assert _read(folder, tile) == rebuilt[tile.level or 0, tile.index]
    return checkpoint, entries


def _read(folder: Path, tile: Tile) -> bytes:
    return (folder / format_tile_path(tile)).read_bytes()


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_published_files_verify_with_the_nouns_alone(log: Log, tmp_path: Path) -> None:
    folder, checkpoints = tmp_path / "log", []
    for size in (1, 2, 255, 256, 257, 600):
        _grow(log, size)
        assert _publish(log, folder) == size
        checkpoint, entries = verify_folder(folder)
        assert entries == _entries(log)
        checkpoints.append(checkpoint)
    hashes = TileHashes(600, lambda level, index, width: _read(folder, Tile(level, index, width)))
    for old in checkpoints:
        verify_consistency(old.size, 600, consistency_proof(old.size, 600, hashes.read), old.root, checkpoints[-1].root)


def test_an_empty_log_is_published_too(sqlite_log: Log, tmp_path: Path) -> None:
    assert _publish(sqlite_log, tmp_path / "log") == 0
    assert verify_folder(tmp_path / "log")[0].size == 0


def test_a_full_tile_takes_the_place_of_its_partial_ones(sqlite_log: Log, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for size in (5, 200):
        _grow(sqlite_log, size)
        _publish(sqlite_log, folder)
    assert {"tile/0/000.p/5", "tile/0/000.p/200", "tile/entries/000.p/200"} <= _files(folder)
    _grow(sqlite_log, 260)
    _publish(sqlite_log, folder)
    tiles = {name for name in _files(folder) if name.startswith("tile/")}
    assert tiles == {
        "tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/4",
    }  # fmt: skip
    assert not (folder / "tile/0/000.p").exists()


def test_nothing_is_written_when_nothing_is_new(
    sqlite_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _grow(sqlite_log, 3)
    _publish(sqlite_log, tmp_path / "log")
    written: list[Path] = []
    monkeypatch.setattr(module, "write_file", lambda path, _data: written.append(path))
    assert _publish(sqlite_log, tmp_path / "log") == 3
    assert written == []


def test_a_full_tile_is_written_once(sqlite_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _grow(sqlite_log, 300)
    _publish(sqlite_log, tmp_path / "log")
    written: list[str] = []

    def record(path: Path, data: bytes) -> None:
        written.append(str(path.relative_to(tmp_path / "log")))
        write_file(path, data)

    monkeypatch.setattr(module, "write_file", record)
    _grow(sqlite_log, 310)
    _publish(sqlite_log, tmp_path / "log")
    assert written == ["tile/0/001.p/54", "tile/entries/001.p/54", "vkey", ".published", "checkpoint"]


class _Crash(BaseException):
    """What no handler catches."""


def _crash_at(monkeypatch: pytest.MonkeyPatch, step: int, moment: str) -> Callable[[], int]:
    calls = []

    def crashing(path: Path, data: bytes) -> None:
        calls.append(path)
        if len(calls) == step and moment == "before":
            raise _Crash
        write_file(path, data)
        if len(calls) == step:
            raise _Crash

    monkeypatch.setattr(module, "write_file", crashing)
    return lambda: len(calls)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_file_leaves_a_log_that_verifies_and_is_completed(
    sqlite_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    _grow(sqlite_log, 250)
    for step in range(1, 20):
        _publish(sqlite_log, tmp_path / f"{step}")
    _grow(sqlite_log, 515)
    crashes = 0
    for step in range(1, 20):
        folder = tmp_path / f"{step}"
        with monkeypatch.context() as patch:
            calls = _crash_at(patch, step, moment)
            try:
                _publish(sqlite_log, folder)
            except _Crash:
                crashes += 1
            assert calls() <= step
        assert verify_folder_or_old(folder) in {250, 515}
        assert _publish(sqlite_log, folder) == 515
        assert verify_folder(folder)[0].size == 515
        assert not [name for name in _files(folder) if name.startswith(("tile/0/000.p", "tile/0/001.p"))]
    assert crashes == 10  # four tiles, three bundles, keys, checkpoint, size


def verify_folder_or_old(folder: Path) -> int:
    """The size of the checkpoint that stands there; all that it names can be read, but for partial tiles that grew full."""
    vkeys = [parse_vkey(line) for line in (folder / "vkey").read_text().splitlines()]
    checkpoint = open_checkpoint((folder / "checkpoint").read_text(), vkeys)
    for tile in list_tiles(checkpoint.size):
        whole = Tile(tile.level, tile.index)
        data = next(_read(folder, item) for item in (tile, whole) if (folder / format_tile_path(item)).exists())
        assert len(data) >= tile.width * 32
    return checkpoint.size


def test_a_publisher_that_is_behind_does_not_take_the_checkpoint_back(log: Log, tmp_path: Path) -> None:
    _grow(log, 10)
    with read_session(log.engine) as behind:
        publish(behind, tmp_path / "elsewhere", log.ring.vkey_lines)  # its snapshot is taken
        log.append("later")
        assert _publish(log, tmp_path / "log") == 11
        assert publish(behind, tmp_path / "log", log.ring.vkey_lines) == 11
    assert verify_folder(tmp_path / "log")[0].size == 11


def test_a_database_without_a_log_cannot_be_published(sqlite_url: str, tmp_path: Path) -> None:
    engine = make_engine(sqlite_url)
    with read_session(engine) as session, pytest.raises(NotFoundError, match="there is no log here yet"):
        publish(session, tmp_path / "log", [])
    engine.dispose()


def test_a_file_is_replaced_whole_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")

    def full(_descriptor: int) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


# --- The thread --------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)


@pytest.mark.usefixtures("_no_pauses")
def test_the_publisher_publishes_when_it_is_woken(sqlite_log: Log, tmp_path: Path) -> None:
    published = threading.Event()

    def act() -> None:
        if _publish(sqlite_log, tmp_path / "log") == 1:
            published.set()

    publisher = Publisher(act)
    sqlite_log.sequencer.after_commit(publisher.wake)
    sqlite_log.append("a")
    assert published.wait(60)
    publisher.close()
    assert verify_folder(tmp_path / "log")[0].size == 1


@pytest.mark.usefixtures("_no_pauses")
def test_the_publisher_tries_again_after_a_failure_and_shows_it_meanwhile() -> None:
    attempts: list[str] = []
    failed, go_on, published = threading.Event(), threading.Event(), threading.Event()

    def act() -> None:
        attempts.append("x")
        if len(attempts) == 1:
            raise OSError(28, "No space left on device")
        failed.set()
        assert go_on.wait(60)
        published.set()

    publisher = Publisher(act)
    publisher.wake()
    assert failed.wait(60)  # the second attempt came without another call
    assert isinstance(publisher.failure, OSError)
    go_on.set()
    assert published.wait(60)
    publisher.close()
    assert publisher.failure is None


def test_closing_publishes_what_came_during_the_pause() -> None:
    seen: list[int] = []
    first = threading.Event()
    newest = 1

    def act() -> None:
        seen.append(newest)
        first.set()

    publisher = Publisher(act)  # with its real pause of half a second
    publisher.wake()
    assert first.wait(60)
    newest = 2
    publisher.wake()
    publisher.close()
    assert seen[-1] == 2
