"""`provenance model`: the card, and publishing with its exit codes, on a data directory without a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.inprocess import run_command, run_json
from tests.finished import finish
from tests.service import make_samples, open_service

pytest.importorskip("trl")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which `mdl_cli` must begin with "Llama"."""
    path = tmp_path_factory.mktemp("cli") / "data"
    with open_service(path) as service:
        service.capture(make_samples(apache=8, openai=0, llama=4))
        service.release(service.declare(), "tutor")
        assert finish(service.runtime, "run_cli") == "mdl_cli"
    return path


def test_a_card_is_printed_or_written_in_either_form(data: Path, tmp_path: Path) -> None:
    shown = run_command("model", "card", "mdl_cli", data_dir=data)
    assert shown.returncode == 0
    assert "# acme-tutor" in shown.stdout
    path = tmp_path / "card.json"
    done = run_command("model", "card", "acme/acme-tutor", "--format", "json", "--output", str(path), data_dir=data)
    assert (done.returncode, json.loads(path.read_text())["model"]["id"]) == (0, "mdl_cli")
    assert run_command("model", "card", "mdl_cli", "--format", "pdf", data_dir=data).returncode == 3
    assert run_command("model", "card", "none", data_dir=data).returncode == 4


def test_what_may_not_be_published_exits_with_5_and_says_what_would_help(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    refused = run_command("model", "publish", "mdl_cli", "--to", str(target), data_dir=data)
    assert (refused.returncode, target.exists()) == (5, False)
    assert 'what would help: Rename the student to "Llama-acme-tutor"' in refused.stderr
    as_json = run_command("model", "publish", "mdl_cli", "--to", str(target), "--json", data_dir=data)
    assert (as_json.returncode, json.loads(as_json.stdout)["decision"]["verdict"]) == (5, "deny")


def test_what_may_is_written_whole_and_a_second_time_changes_nothing(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    command = ["model", "publish", "mdl_cli", "--to", str(target), "--name", "Llama-acme"]
    said = run_json(*command, data_dir=data)
    files = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert files.keys() == {item["path"] for item in said["files"]} | {"model.sig"}
    assert run_json(*command, data_dir=data) == said | {"replayed": True}
    assert all((target / name).read_bytes() == data for name, data in files.items())
    assert run_command("verify", str(target / "evidence.zip"), data_dir=data).returncode == 0


def test_a_folder_of_others_is_refused_before_anything_is_published(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    done = run_command("model", "publish", "mdl_cli", "--to", str(tmp_path), "--name", "Llama-other", data_dir=data)
    assert (done.returncode, "mine.txt" in done.stderr) == (3, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    for wrong in ("x", "x=none.txt", "=x"):
        done = run_command("model", "publish", "mdl_cli", "--to", str(tmp_path / "new"), "--text", wrong, data_dir=data)
        assert (done.returncode, "DOCUMENT=FILE" in done.stderr) == (3, True)
