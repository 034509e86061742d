"""`provenance release`: what compares and approves, on a record that is there already."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.inprocess import run_command, run_json

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
