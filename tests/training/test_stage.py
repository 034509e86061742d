"""What goes to a shared folder, and above all what is believed of what comes back from there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import DigestMismatchError, MalformedError, ProvenanceError, SettingsError, UnavailableError
from provenance.training.files import digest_files, list_files
from provenance.training.stage import (
    Mirror,
    check_exactly,
    check_safetensors,
    check_shared,
    collect,
    pack_code,
    stage_folder,
)


def make_safetensors(size: int = 8) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """The output folder of a finished run, as the trainer leaves it."""
    folder = tmp_path / "remote"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.safetensors").write_bytes(make_safetensors())
    (folder / "model" / "config.json").write_bytes(b"{}")
    write_result(folder, list_files(folder / "model"))
    return folder


def write_result(folder: Path, files: Any, **changes: Any) -> None:
    said = {"state": "finished", "run_id": "run_1", "model_files": files, "weights_digest": digest_files(files)}
    (folder / "result.json").write_text(json.dumps(said | changes))


def output_of(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir(exist_ok=True)
    return tmp_path / "out"


def test_a_finished_runs_model_comes_back_whole_and_the_result_last(remote: Path, tmp_path: Path) -> None:
    output = output_of(tmp_path)
    (remote / "optimizer.pt").write_bytes(b"a pickle")
    (remote / "model" / "training_args.bin").write_bytes(b"another, which the result does not name")
    said = collect("run_1", remote, output)
    assert said is not None
    assert list_files(output / "model") == said["model_files"]
    assert sorted(path.name for path in output.rglob("*") if path.is_file()) == [
        "config.json",
        "model.safetensors",
        "result.json",
    ]
    assert collect("run_1", remote, output) == said  # after a crash once more


def test_a_run_without_a_result_left_none_and_a_failed_one_brings_no_files(remote: Path, tmp_path: Path) -> None:
    output = output_of(tmp_path)
    (remote / "result.json").unlink()
    assert collect("run_1", remote, output) is None
    write_result(remote, [], state="failed")
    assert collect("run_1", remote, output) is not None
    assert not (output / "model").exists()


def alter(path: str, data: bytes) -> Callable[[Path], object]:
    return lambda remote: (remote / path).write_bytes(data)


def link(path: str, target: str) -> Callable[[Path], object]:
    def replace(remote: Path) -> None:
        (remote / path).unlink()
        (remote / path).symlink_to(target)

    return replace


def name_file(name: str, data: bytes = b"{}", **changes: Any) -> Callable[[Path], object]:
    def add(remote: Path) -> None:
        path = remote / "model" / name
        if "/" not in name:
            path.write_bytes(data)
        item = {"path": name, "digest": digest_of(data), "size_bytes": len(data)} | changes
        write_result(remote, [*list_files(remote / "model"), item] if "/" in name or changes else [item])

    return add


def say(**changes: Any) -> Callable[[Path], object]:
    return lambda remote: write_result(remote, list_files(remote / "model"), **changes)


BAD: dict[str, Callable[[Path], object]] = {
    "altered weights": alter("model/model.safetensors", make_safetensors(12)),
    "longer file": alter("model/config.json", b"{} "),
    "no JSON": alter("result.json", b"{"),
    "huge result": alter("result.json", b'{"state": "failed", "x": "' + b"a" * 1_000_001 + b'"}'),
    "deep result": alter("result.json", b"[" * 10_000),
    "linked file": link("model/config.json", "/etc/hostname"),
    "linked result": link("result.json", "model/config.json"),
    "pickle": name_file("optimizer.pt"),
    "program": name_file("modeling_student.py"),
    "hidden file": name_file(".env.json"),
    "path upwards": name_file("../result.json"),
    "absolute path": name_file("/etc/hostname.json"),
    "weights that are none": name_file("other.safetensors", b"\x80\x04 a pickle"),
    "size that is none": name_file("config.json", size_bytes="2"),
    "unknown field": name_file("config.json", mode="0777"),
    "other run": say(run_id="run_2"),
    "unknown state": say(state="running"),
    "no files": say(model_files=[]),
    "files that are none": say(model_files="all"),
    "steps that are words": say(steps="many"),
    "energy that is a word": say(energy_kwh="much"),
    "isolation that is none": say(isolation="total"),
    "other digest": say(weights_digest="sha256:" + "0" * 64),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_what_is_not_as_it_must_be_does_not_come_back(
    remote: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    change(remote)
    output = output_of(tmp_path)
    with pytest.raises(ProvenanceError):
        collect("run_1", remote, output)
    assert not (output / "model").exists()
    assert not (output / "result.json").exists()


def test_a_linked_model_folder_is_refused(remote: Path, tmp_path: Path) -> None:
    (remote / "model").rename(tmp_path / "elsewhere")
    (remote / "model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MalformedError, match="link"):
        collect("run_1", remote, output_of(tmp_path))


@given(place=st.integers(0, 200), value=st.integers(0, 255))
def test_weights_are_a_header_and_exactly_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    data = bytearray(make_safetensors(16))
    path.write_bytes(data)
    check_safetensors(path)
    for wrong in (bytes(data) + b"\0", bytes(data[:-1]), b"", bytes(data[:7])):
        path.write_bytes(wrong)
        with pytest.raises(MalformedError):
            check_safetensors(path)
    data[place % len(data)] = value
    path.write_bytes(data)
    with contextlib.suppress(MalformedError):  # any byte, changed: sound or refused, never another error
        check_safetensors(path)


def test_a_shared_folder_must_be_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shared"
    with pytest.raises(SettingsError, match="PROVENANCE_RAY_SHARED_DIR"):
        check_shared(folder)
    folder.mkdir(mode=0o700)
    check_shared(folder)
    for mode in (0o770, 0o707, 0o1777):
        folder.chmod(mode)
        with pytest.raises(SettingsError, match="nobody else may write"):
            check_shared(folder)
    folder.chmod(0o755)
    check_shared(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError):
        check_shared(tmp_path / "file")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="absolute"):
        check_shared(Path("shared"))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(SettingsError):
        check_shared(folder)


def test_a_folder_is_copied_once_and_again_when_it_was_altered(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "a" / "target"
    (source / "data").mkdir(parents=True)
    (source / "data" / "x").write_text("x")
    files = list_files(source)
    stage_folder(source, target, files)
    before = (target / "data" / "x").stat().st_ino
    stage_folder(source, target, files)
    assert (target / "data" / "x").stat().st_ino == before
    (target / "data" / "x").write_text("y")
    stage_folder(source, target, files)
    assert list_files(target) == files
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    (target / "adapter_config.json").write_text("{}")
    with pytest.raises(DigestMismatchError, match="adapter_config"):
        check_exactly(target, files)
    stage_folder(source, target, files)
    check_exactly(target, files)
    (source / "data" / "x").write_text("z")
    stage_folder(source, target, files)  # the copy is what was listed
    (target / "data" / "x").unlink()
    with pytest.raises(DigestMismatchError):  # what was listed is what must arrive
        stage_folder(source, target, files)
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_shared_disk_that_takes_no_more_is_a_clear_error(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "x").write_text("x")
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"):
        stage_folder(source, tmp_path / "file" / "target", list_files(source))


def test_the_packed_code_is_the_same_each_time_and_holds_the_trainer() -> None:
    data = pack_code()
    assert pack_code() == data
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert {"provenance/__init__.py", "provenance/training/node.py", "provenance/training/distill.py"} <= set(names)
    assert all(name.endswith(".py") for name in names)


def events_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_events_are_copied_as_they_come_each_once(tmp_path: Path) -> None:
    source, target = tmp_path / "events", tmp_path / "here" / "events"
    mirror = Mirror(source, target)
    mirror.copy()
    source.write_text('{"event": "started"}\n{"event": "st')
    mirror.copy()
    assert events_in(target) == [{"event": "started"}]
    with source.open("a") as stream:
        stream.write('ep", "step": 1, "loss": 0.5}\n')
    mirror.copy()
    mirror.copy()
    Mirror(source, target).copy()  # a service that starts again
    assert events_in(target) == [{"event": "started"}, {"event": "step", "step": 1, "loss": 0.5}]
    with source.open("a") as stream:
        stream.write('{"event": "finished"}\n')
    later = Mirror(source, target)
    later.copy()
    later.copy()
    assert [event["event"] for event in events_in(target)] == ["started", "step", "finished"]


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b'{"step": 1}', b'{"event": 7}', b'{"event": "step", "step": 1, "loss": NaN}',
     b'{"event": "step", "step": 1}', b'{"event": "step", "step": "1", "loss": 1}', b'{"event": "step", "step": 1, "loss": []}',
     b'{"event": "started", "device": {}}', b"\xff\xfe",
     b'{"event": "' + b"x" * 70_000 + b'"}', b"[" * 60_000],
    ids=range(14),
)  # fmt: skip
def test_a_line_that_is_no_event_says_so_and_the_rest_goes_on(tmp_path: Path, line: bytes) -> None:
    source, target = tmp_path / "events", tmp_path / "copy"
    source.write_bytes(line + b'\n{"event": "built"}\n')
    Mirror(source, target).copy()
    assert events_in(target) == [{"event": "unreadable"}, {"event": "built"}]


def test_a_log_without_line_ends_fills_no_memory_and_no_disk(tmp_path: Path) -> None:
    source, target = tmp_path / "events", tmp_path / "copy"
    source.write_bytes(b"x" * 5_000_000 + b'\n{"event": "built"}\n')
    Mirror(source, target).copy()
    assert target.stat().st_size < 1000
    assert events_in(target)[-1] == {"event": "built"}


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are POSIX here")
def test_events_are_read_from_a_regular_file_only(tmp_path: Path) -> None:
    secret, source, target = tmp_path / "secret", tmp_path / "events", tmp_path / "copy"
    secret.write_text('{"event": "secret"}\n')
    source.symlink_to(secret)
    Mirror(source, target).copy()
    source.unlink()
    os.mkfifo(source)
    Mirror(source, target).copy()
    assert not target.exists()
