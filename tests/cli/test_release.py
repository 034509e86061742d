"""`provenance release`: what compares and approves, on a record that is there already."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.inprocess import run_command, run_json
from tests.second_person import house_rules, make_token, put_in_force
from tests.service import open_service

pytestmark = pytest.mark.slow


@pytest.fixture
def data(world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world, tmp_path / "data"))


def test_the_difference_of_two_releases_is_counted_and_listed(data: Path) -> None:
    said = run_json("release", "diff", "closed@1", "tutor@1", data_dir=data)
    assert said["counts"] == {"added": 80, "removed": 0, "same": 0}
    assert len(said["rows"]) == 20
    done = run_command("release", "diff", "closed@1", "tutor@1", "--rows", "3", data_dir=data)
    assert done.returncode == 0, done.stderr
    assert "tutor@1 is partial (deny): 80 released, 20 quarantined" in done.stdout
    assert "condition added: meta-llama-3.1 name-prefix" in done.stdout
    assert done.stdout.count("not-selected") == 3
    assert "more samples differ" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"), [(("tutor@1", "tutor@9"), 4), (("tutor@1", "tutor@1", "--change", "moved"), 3)]
)
def test_what_cannot_be_compared_ends_with_its_code(data: Path, arguments: tuple[str, ...], code: int) -> None:
    assert run_command("release", "diff", *arguments, data_dir=data).returncode == code


def test_a_release_that_waits_is_pulled_once_a_second_person_agreed(data: Path, tmp_path: Path) -> None:
    with open_service(data) as service:
        put_in_force(service, house_rules())
        ada, bob = (make_token(service, name, "compliance") for name in ("ada", "bob"))
    made = run_json(
        "release", "create", "mixed", "--student", "acme-tutor", "--name", "held", data_dir=data, PROVENANCE_TOKEN=ada
    )
    assert (made["approval"]["state"], made["requested_by"]) == ("awaiting", "ada")
    shown = run_command("release", "show", "held@1", data_dir=data)
    assert "awaits a second person (second-person.conditions)" in shown.stdout
    folder = tmp_path / "pulled"
    early = run_command("release", "pull", "held@1", str(folder), data_dir=data)
    assert (early.returncode, "second person" in early.stderr) == (5, True)
    assert not list(folder.rglob("*.parquet"))
    own = run_command("release", "approve", "held@1", data_dir=data, PROVENANCE_TOKEN=ada)
    assert own.returncode != 0
    assert "cannot approve it" in own.stderr
    assert run_command("release", "approve", "held@1", data_dir=data).returncode != 0  # a terminal is nobody
    said = run_json("release", "approve", "held@1", "--reason", "seen", data_dir=data, PROVENANCE_TOKEN=bob)
    assert said["approval"]["approved_by"] == "bob"
    run_json("release", "pull", "held@1", str(folder), data_dir=data)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(run_json("keys", "list", data_dir=data)))
    verify = ("release", "verify", str(folder), "--keys", str(keys))
    assert run_json(*verify, data_dir=tmp_path / "nowhere")["ok"]
    (folder / "approval.json").unlink()
    assert run_command(*verify, data_dir=tmp_path / "nowhere").returncode == 5
