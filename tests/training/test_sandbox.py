from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provenance.training import sandbox


def _run(code: str, read_only: list[Path], writable: Path, level: sandbox.Level) -> subprocess.CompletedProcess[str]:
    command, _ = sandbox.wrap_command(
        [sys.executable, "-I", "-c", code], read_only=read_only, writable=writable, level=level
    )
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("release", "output", "secret")}
    for path in made.values():
        path.mkdir()
        (path / "file.txt").write_text(path.name)
    return made


@pytest.fixture
def bwrap() -> None:
    if sandbox.best_level() != "bwrap":
        pytest.skip(f"bubblewrap does not work here; level reached: {sandbox.best_level()}")


@pytest.mark.usefixtures("bwrap")
def test_the_release_can_be_read_and_not_written(folders: dict[str, Path]) -> None:
    file = folders["release"] / "file.txt"
    code = f"print(open({str(file)!r}).read()); open({str(file)!r}, 'w')"
    done = _run(code, [folders["release"]], folders["output"], "bwrap")
    assert done.stdout.strip() == "release"
    assert "Read-only file system" in done.stderr
    assert file.read_text() == "release"


@pytest.mark.usefixtures("bwrap")
def test_only_the_output_can_be_written(folders: dict[str, Path]) -> None:
    code = f"open({str(folders['output'] / 'made.txt')!r}, 'w').write('yes')"
    assert _run(code, [folders["release"]], folders["output"], "bwrap").returncode == 0
    assert (folders["output"] / "made.txt").read_text() == "yes"


@pytest.mark.usefixtures("bwrap")
def test_other_folders_are_out_of_sight(folders: dict[str, Path]) -> None:
    done = _run(f"open({str(folders['secret'] / 'file.txt')!r})", [folders["release"]], folders["output"], "bwrap")
    assert "FileNotFoundError" in done.stderr


@pytest.mark.parametrize("level", ["bwrap", "unshare"])
def test_there_is_no_network(folders: dict[str, Path], level: sandbox.Level) -> None:
    if level == "bwrap" and sandbox.best_level() != "bwrap":
        pytest.skip("bubblewrap does not work here")
    if level == "unshare" and sandbox.best_level() == "plain":
        pytest.skip("unprivileged namespaces do not work here")
    code = "print(sorted(line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]))"
    done = _run(code, [], folders["output"], level)
    assert done.stdout.strip() == "['lo']", done.stderr


def test_stepping_down_is_said(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    sandbox.best_level.cache_clear()
    try:
        command, level = sandbox.wrap_command(["true"], read_only=[], writable=folders["output"])
    finally:
        sandbox.best_level.cache_clear()
    assert (command, level) == (["true"], "plain")
    assert "No isolation" in sandbox.describe_level(level)
