from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.capture.collection.summaries import ANNOTATOR
from tests.cli.inprocess import run_command, run_json
from tests.policy.collection.requests import make_request

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "dpi"


def write_folder(folder: Path, *, constants: bool = True) -> Path:
    """A folder in upstream's layout."""
    request = make_request()
    for part in ("data_summaries", "constants"):
        (folder / part).mkdir(parents=True)
    for name, content in request["files"].items():
        (folder / "data_summaries" / name).write_text(json.dumps(content))
    (folder / "data_summaries" / "_template.json").write_text("not even JSON")
    for name, content in request["constants"].items() if constants else ():
        (folder / "constants" / name).write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("dpi") / "upstream")


def test_a_dry_run_prints_the_comparison_and_makes_nothing(folder: Path, tmp_path: Path) -> None:
    done = run_command("import", "dpi", str(folder), "--dry-run", data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    for words in (
        "18 in 1 files",
        "contract-counted-as-licence",
        "generator-licence-bars",
        "Lost 1",
        "nothing was recorded",
    ):
        assert words in done.stdout
    assert not (tmp_path / "data").exists()


def test_json_of_a_dry_run_gives_all_without_names_of_annotators(folder: Path, tmp_path: Path) -> None:
    said = run_json("import", "dpi", str(folder), "--dry-run", data_dir=tmp_path / "data")
    assert len(said["facts"]["datasets"]) == len(said["comparison"]["datasets"]) == 18
    assert ANNOTATOR not in json.dumps(said)
    assert said["recorded"] == 0


@pytest.mark.slow
def test_an_import_records_once_and_the_log_verifies(folder: Path, tmp_path: Path) -> None:
    first = run_json("import", "dpi", str(folder), data_dir=tmp_path / "data")
    again = run_json("import", "dpi", str(folder), data_dir=tmp_path / "data")
    assert (first["replayed"], again["replayed"], again["entry"]) == (False, True, first["entry"])
    dry = run_json("import", "dpi", str(folder), "--dry-run", data_dir=tmp_path / "data")
    assert dry["id"] == first["id"]
    assert run_command("log", "verify", data_dir=tmp_path / "data").returncode == 0


def refuse(folder: Path, tmp_path: Path) -> dict[str, Any]:
    done = run_command("import", "dpi", str(folder), "--dry-run", "--json", data_dir=tmp_path / "data")
    assert done.returncode in {3, 4}, done.stdout + done.stderr
    problem: dict[str, Any] = json.loads(done.stdout)
    return problem


BAD = {
    "no JSON": b"{",
    "not a number": b'{"x": {"Text Metrics": {"Num Dialogs": NaN}}}',
    "a key twice": b'{"x": {"Licenses": [], "Licenses": []}}',
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "bytes": b"\xff\xfe",
    "empty": b"",
    "a list": b"[]",
    "a huge integer": b'{"x": {"Semantic Scholar Corpus ID": ' + b"9" * 5_000 + b"}}",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named(tmp_path: Path, name: str) -> None:
    broken = write_folder(tmp_path / "upstream")
    (broken / "data_summaries" / "Broken.json").write_bytes(BAD[name])
    assert "Broken.json" in refuse(broken, tmp_path)["detail"]


def test_links_pipes_and_folders_are_no_summaries(tmp_path: Path) -> None:
    broken = write_folder(tmp_path / "upstream")
    secret = tmp_path / "secret"
    secret.write_text("{}")
    odd = broken / "data_summaries" / "Odd.json"
    odd.symlink_to(secret)
    assert "no link" in refuse(broken, tmp_path)["detail"]
    odd.unlink()
    os.mkfifo(odd)
    assert "a plain file" in refuse(broken, tmp_path)["detail"]
    odd.unlink()
    odd.mkdir()
    assert "a plain file" in refuse(broken, tmp_path)["detail"]


def test_a_folder_that_is_not_there_or_holds_nothing_is_not_found(tmp_path: Path) -> None:
    assert refuse(tmp_path / "nowhere", tmp_path)["code"] == "not-found"
    (tmp_path / "empty").mkdir()
    assert refuse(tmp_path / "empty", tmp_path)["code"] == "not-found"


def test_without_constants_only_our_side_is_filled(folder: Path, tmp_path: Path) -> None:
    done = run_command("import", "dpi", str(folder / "data_summaries"), "--dry-run", data_dir=tmp_path / "data")
    assert done.returncode == 0
    assert "use classes cannot be computed" in done.stderr
    assert "Kinds of difference" not in done.stdout


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not REAL.is_dir():
        pytest.skip("the shared part of the Data Provenance Collection is not beside this checkout")
    found: dict[str, Any] = run_json(
        "import", "dpi", str(REAL), "--dry-run", data_dir=tmp_path_factory.mktemp("real") / "data"
    )
    return found


@pytest.mark.slow
def test_the_real_collection_is_counted_as_its_readme_says(real: dict[str, Any]) -> None:
    counts = real["counts"]
    assert (counts["files"], counts["datasets"]) == (78, 1221)
    assert (counts["license_entries"], counts["with_generators"]) == (3099, 247)
    upstream: dict[str, int] = {}
    for row in real["table"]:
        upstream[row["upstream"]] = upstream.get(row["upstream"], 0) + row["datasets"]
    assert upstream == {"commercial": 657, "unspecified": 323, "non-commercial": 182, "academic-only": 59}
    assert sum(row["datasets"] for row in real["table"]) == 1221


@pytest.mark.slow
def test_no_verdict_on_the_real_collection_permits_and_every_difference_has_a_kind(real: dict[str, Any]) -> None:
    for item in real["comparison"]["datasets"]:
        assert item["kinds"], item["id"]
        assert item["teacher_output"] == bool(item["verdicts"])
    assert real["days"]["days-differ"] + real["days"]["no-bound"] <= 2
    assert sum(real["days"].values()) == real["counts"]["teacher_outputs"]
