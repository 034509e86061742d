"""The log published to a bucket: the same bytes as the folder and the service, resumed, never over another log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provenance.errors import FatalError, SettingsError, UnavailableError
from provenance.ledger.append import make_draft
from provenance.ledger.mirror import Mirror, list_full, list_partial, mirror_log, read_state
from provenance.ledger.publish import publish, read_checkpoint
from provenance.ledger.target import check_url, open_target
from provenance.ledger.tiles import format_tile_path, list_tiles
from provenance.store.log import get_head
from provenance.store.session import read_session
from tests.ledger.s3 import Bucket, proxied, s3, s3_server
from tests.ledger.test_publish import verify_folder
from tests.store.logs import Log, open_log

__all__ = ["s3", "s3_server"]


def _grow(log: Log, size: int) -> str:
    with read_session(log.engine) as session:
        start = get_head(session).size
    if size > start:
        log.sequencer.append(make_draft([log.access(f"entry {number}") for number in range(start, size)]))
    with read_session(log.engine) as session:
        return get_head(session).checkpoint


def _publish(log: Log, url: str, note: str) -> int:
    return mirror_log(log.engine, open_target(url), note, log.ring.vkey_lines)


def _names(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65535, 65536, 65536 * 256 + 300])
def test_the_order_of_objects_names_the_tiles_of_the_tree(size: int) -> None:
    bundles = range(min(size // 256, 600))
    if size // 256 <= len(bundles):
        listed = [tile for bundle in bundles for tile in list_full(bundle)] + list_partial(size, 0)
        assert {tile for tile in listed if tile.level is not None} == set(list_tiles(size))
        assert sum(tile.level is None for tile in listed) == (size + 255) // 256
    else:
        assert {tile for tile in list_tiles(size) if tile.width < 256} == {
            tile for tile in list_partial(size, 0) if tile.level is not None
        }
    assert list_partial(size, size) == []


def test_a_bundle_that_completes_upper_tiles_brings_them() -> None:
    assert [format_tile_path(tile) for tile in list_full(65535)] == [
        "tile/entries/x065/535", "tile/0/x065/535", "tile/1/255", "tile/2/000",
    ]  # fmt: skip


def test_the_bucket_the_folder_and_a_folder_as_target_hold_the_same_bytes(log: Log, s3: Bucket, tmp_path: Path) -> None:
    for size in (1, 255, 256, 257, 700):
        note = _grow(log, size)
        assert _publish(log, s3.url, note) == size
        assert _publish(log, f"file://{tmp_path}/target", note) == size
        checkpoint, entries = verify_folder(s3.download(tmp_path / "bucket"))
        assert (checkpoint.size, len(entries)) == (size, size)
    with read_session(log.engine) as session:
        publish(session, tmp_path / "folder", log.ring.vkey_lines)
    expected = _names(tmp_path / "folder")
    assert {name: data for name, data in _names(tmp_path / "bucket").items() if name in expected} == expected
    assert _names(tmp_path / "target").keys() - expected.keys() <= {"tile/1/000.p/1"}  # the spec lets old ones stand
    assert {name: data for name, data in _names(tmp_path / "target").items() if name in expected} == expected


def test_objects_have_the_headers_of_the_specification(sqlite_log: Log, s3: Bucket) -> None:
    _publish(sqlite_log, s3.url, _grow(sqlite_log, 257))
    for name in ("tile/0/000", "tile/entries/000", "tile/0/001.p/1"):
        answer = s3.get(name)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert "immutable" in answer.headers["Cache-Control"]
    assert s3.get("checkpoint").headers["Content-Type"] == "text/plain; charset=utf-8"
    assert s3.get("checkpoint").headers["Cache-Control"] == "no-cache"


def test_what_is_published_is_not_written_again_and_nothing_is_listed(sqlite_log: Log, s3: Bucket) -> None:
    _publish(sqlite_log, s3.url, _grow(sqlite_log, 600))
    with proxied(s3.server) as proxy:
        _publish(sqlite_log, s3.url, _grow(sqlite_log, 600))
        assert [method for method, _ in proxy.seen] == ["GET"]
        _publish(sqlite_log, s3.url, _grow(sqlite_log, 610))
    assert set(proxy.written) == {"tile/entries/002.p/98", "tile/0/002.p/98", "vkey", "checkpoint"}
    assert proxy.written[-1] == "checkpoint"
    assert not [path for method, path in proxy.seen if method == "GET" and "list-type" in path]


def test_failures_on_the_way_are_tried_again(sqlite_log: Log, s3: Bucket, tmp_path: Path) -> None:
    with proxied(s3.server, lambda method, _path, number: 500 if method == "PUT" and number % 3 == 0 else None):
        assert _publish(sqlite_log, s3.url, _grow(sqlite_log, 600)) == 600
    assert verify_folder(s3.download(tmp_path))[0].size == 600


@pytest.mark.parametrize("step", range(1, 10))
def test_a_target_that_fails_at_any_object_has_no_checkpoint_and_is_completed(
    sqlite_log: Log, s3: Bucket, tmp_path: Path, step: int
) -> None:
    written: list[str] = []

    def refuse(method: str, path: str, _number: int) -> int | None:
        if method == "PUT":
            written.append(path)
            return 403 if len(written) >= step else None  # not tried again by the client
        return None

    note = _grow(sqlite_log, 600)
    with proxied(s3.server, refuse), pytest.raises(UnavailableError, match=r"cannot be written") as caught:
        _publish(sqlite_log, s3.url, note)
    assert "a-secret-of-tests" not in str(caught.value)
    assert s3.get("checkpoint").status_code == 404
    assert _publish(sqlite_log, s3.url, note) == 600
    assert verify_folder(s3.download(tmp_path))[0].size == 600


@pytest.mark.slow
def test_a_publication_that_was_killed_goes_on_where_it_was(sqlite_url: str, s3: Bucket, tmp_path: Path) -> None:
    log = open_log(sqlite_url, tmp_path / "data" / "keys")
    note = _grow(log, 9000)
    environment = {
        **os.environ, "PROVENANCE_DATA_DIR": str(tmp_path / "data"), "PROVENANCE_DATABASE_URL": sqlite_url,
        "PROVENANCE_URL": "",
    }  # fmt: skip
    reached = threading.Event()

    def stall(method: str, _path: str, number: int) -> int | None:
        if method == "PUT" and number > 50:
            reached.set()
            time.sleep(30)
        return None

    with proxied(s3.server, stall) as first:
        environment["AWS_ENDPOINT_URL"] = first.url
        child = subprocess.Popen([sys.executable, "-m", "provenance", "log", "publish", s3.url], env=environment)
        assert reached.wait(60)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert s3.get("checkpoint").status_code == 404
    with proxied(s3.server) as second:
        environment["AWS_ENDPOINT_URL"] = second.url
        done = subprocess.run(
            [sys.executable, "-m", "provenance", "log", "publish", s3.url, "--json"], env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tree_size"] == 9000
    assert not {"tile/0/000", "tile/0/015"} & set(second.written), "the first group was complete"
    assert len(second.written) < 50
    checkpoint, _ = verify_folder(s3.download(tmp_path / "bucket"))
    assert (checkpoint.size, s3.get("checkpoint").text) == (9000, note)
    log.close()


def _other_log(url: str, folder: Path) -> Log:
    return open_log(f"sqlite:///{url.removeprefix('sqlite:///')}.other", folder)


def _refused(log: Log, s3: Bucket, words: str) -> None:
    before, note = s3.get("checkpoint").content, _grow(log, 300)
    with proxied(s3.server) as proxy, pytest.raises(FatalError, match=words):
        _publish(log, s3.url, note)
    assert (s3.get("checkpoint").content, proxy.written) == (before, [])


def test_the_checkpoint_of_another_log_is_never_written_over(
    sqlite_log: Log, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("checkpoint", b"hello")
    _refused(sqlite_log, s3, "not signed by this log")
    s3.put("checkpoint", b"example.org/other\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
    _refused(sqlite_log, s3, "not signed by this log")


def test_an_old_copy_and_a_fork_are_refused(sqlite_log: Log, s3: Bucket, tmp_path: Path) -> None:
    from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint

    def put(size: int, root: bytes) -> None:
        s3.put(
            "checkpoint",
            sign_checkpoint(Checkpoint(sqlite_log.ring.origin, size, root), sqlite_log.ring.log_signers).encode(),
        )

    put(301, bytes(32))
    _refused(sqlite_log, s3, "301 entries are published, this log has 300")
    put(299, bytes(32))
    _refused(sqlite_log, s3, "it forked")
    put(0, bytes(32))
    _refused(sqlite_log, s3, "it forked")


def test_tiles_of_another_log_are_not_taken_for_ours(sqlite_log: Log, s3: Bucket) -> None:
    s3.put("tile/0/000", bytes(8192))
    with pytest.raises(FatalError, match="other hashes"):
        _publish(sqlite_log, s3.url, _grow(sqlite_log, 300))
    assert s3.get("checkpoint").status_code == 404


def test_a_publisher_that_is_behind_does_not_take_the_checkpoint_back(sqlite_log: Log, s3: Bucket) -> None:
    old = _grow(sqlite_log, 100)
    new = _grow(sqlite_log, 200)
    entered: list[int] = []

    def overtake(method: str, path: str, _number: int) -> int | None:
        if method == "PUT" and path.endswith("/checkpoint") and not entered:
            entered.append(1)
            s3.put("checkpoint", new.encode())  # after this publisher read it, before it writes
        return None

    with proxied(s3.server, overtake):
        assert _publish(sqlite_log, s3.url, old) == 200
    assert entered
    assert s3.get("checkpoint").text == new


def test_two_that_publish_at_once_write_the_same(log: Log, s3: Bucket, tmp_path: Path) -> None:
    notes = [_grow(log, size) for size in (300, 600)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda note=note: answers.append(_publish(log, s3.url, note))) for note in notes * 2
    ]
    with proxied(s3.server):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 4
    assert verify_folder(s3.download(tmp_path))[0].size == 600


def _mirror(log: Log, folder: Path, url: str, clock: list[int]) -> Mirror:
    return Mirror(log.engine, folder, open_target(url), url, lambda: log.ring.vkey_lines, lambda: clock[0])


def _publish_here(log: Log, folder: Path, size: int) -> None:
    _grow(log, size)
    with read_session(log.engine) as session:
        publish(session, folder, log.ring.vkey_lines)


def test_a_mirror_backs_off_says_why_and_comes_again(sqlite_log: Log, s3: Bucket, tmp_path: Path) -> None:
    folder, clock = tmp_path / "log", [1000]
    _publish_here(sqlite_log, folder, 10)
    mirror = _mirror(sqlite_log, folder, s3.url, clock)
    mirror.act()
    assert mirror.state.published_size == 10
    _publish_here(sqlite_log, folder, 20)
    with proxied(s3.server, lambda *_: 403) as proxy:
        mirror.target = open_target(s3.url)
        waits = []
        for _ in range(4):
            waits.append(mirror.act())
            seen = len(proxy.seen)
            assert mirror.act() == waits[-1]
            assert len(proxy.seen) == seen, "it does not ask before its time"
            clock[0] += int(waits[-1] or 0)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    said = read_state(folder, s3.url)
    assert (said.published_size, said.behind_since, said.stopped) == (10, 1000, False)
    assert "PermissionDenied" in str(said.problem)
    mirror.target = open_target(s3.url)
    assert mirror.act() is None
    assert (mirror.state.published_size, mirror.state.problem) == (20, None)


def test_a_mirror_that_met_another_log_stops(sqlite_log: Log, s3: Bucket, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    _publish_here(sqlite_log, folder, 10)
    s3.put("checkpoint", b"another log's")
    mirror = _mirror(sqlite_log, folder, s3.url, [1000])
    assert mirror.act() is None
    assert read_state(folder, s3.url).stopped
    with proxied(s3.server) as proxy:
        mirror.target = open_target(s3.url)
        mirror.act()
        assert proxy.seen == []


def test_nothing_is_published_before_it_is_published_here(sqlite_log: Log, s3: Bucket, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    _publish_here(sqlite_log, folder, 10)
    _grow(sqlite_log, 500)  # durable, but witnesses may still hold it
    _mirror(sqlite_log, folder, s3.url, [1000]).act()
    assert s3.get("checkpoint").text == read_checkpoint(folder)
    assert verify_folder(s3.download(tmp_path / "bucket"))[0].size == 10


@pytest.mark.parametrize(
    "url", ["gs://b/p", "s3://", "s3://key:secret@b/p", "s3://b/p?x=secret", "file://host/p", "http://b/secret"]
)
def test_an_address_that_is_no_place_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="PROVENANCE_PUBLISH_URL") as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(SettingsError, match=r"provenance-ledger\[s3\]"):
        open_target("s3://bucket/log")
