from __future__ import annotations

import json
from pathlib import Path

import pytest

from provenance.training.checkpoint import SEAL, find_checkpoint, open_checkpoint, seal_checkpoint


def _write(output: Path, step: int, *, sealed: bool = True) -> Path:
    folder = output / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"w" * 100)
    (folder / "optimizer.pt").write_bytes(b"o" * 50)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    if sealed:
        seal_checkpoint(folder, {"seconds": step * 2.0})
    return folder


def test_the_newest_whole_checkpoint_is_taken(tmp_path: Path) -> None:
    for step in (5, 20, 100):
        _write(tmp_path, step)
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 100
    assert found.notes["seconds"] == 200


def test_a_checkpoint_without_its_mark_is_torn_and_deleted(tmp_path: Path) -> None:
    _write(tmp_path, 5)
    torn = _write(tmp_path, 10, sealed=False)
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    assert not torn.exists()


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
@pytest.mark.parametrize("damage", ["shorter", "missing"])
def test_a_damaged_file_makes_it_torn(tmp_path: Path, file: str, damage: str) -> None:
    folder = _write(tmp_path, 10)
    if damage == "missing":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes((folder / file).read_bytes()[:-1])
    assert open_checkpoint(folder) is None


@pytest.mark.parametrize("mark", [b"", b"{", b"{}", b'{"sizes": {}}'])
def test_half_a_mark_is_no_mark(tmp_path: Path, mark: bytes) -> None:
    folder = _write(tmp_path, 10)
    (folder / SEAL).write_bytes(mark)
    assert open_checkpoint(folder) is None


def test_a_folder_of_another_step_is_not_believed(tmp_path: Path) -> None:
    folder = _write(tmp_path, 10)
    assert open_checkpoint(folder.rename(tmp_path / "checkpoint-11")) is None


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "checkpoint-notes"
    other.mkdir()
    assert find_checkpoint(tmp_path) is None
    assert other.exists()
