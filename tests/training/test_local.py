from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provenance.errors import MalformedError
from provenance.training import local
from provenance.training.backend import Status
from provenance.training.plan import parse_plan


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def _handle(process: subprocess.Popen[bytes]) -> local.Handle:
    return local.Handle(process.pid, local._start_time(process.pid) or "", "plain")


def test_a_running_process_is_found_by_number_and_start_time(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    handle = _handle(sleeper)
    assert local.poll(handle, tmp_path).state == "running"
    assert local.reattach(handle.pid, handle.start_time) == handle
    backend = local.LocalBackend(tmp_path / "slots")
    for start_time, found in ((handle.start_time, True), (handle.start_time + "0", False)):
        said = {"pid": handle.pid, "start_time": start_time, "level": "plain"}
        (tmp_path / local.PROCESS).write_text(json.dumps(said))
        assert backend.find(tmp_path) is found


def test_killing_a_number_that_is_another_process_now_does_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    local.kill(local.Handle(sleeper.pid, "1", "plain"))
    assert sleeper.poll() is None
    local.kill(_handle(sleeper))
    assert sleeper.wait(timeout=10) == -9


def test_without_a_result_an_ended_run_was_lost(tmp_path: Path) -> None:
    assert local.read_result(tmp_path).state == "lost"
    (tmp_path / local.RESULT).write_text('{"state": "fini')
    assert local.read_result(tmp_path).state == "lost"
    (tmp_path / local.RESULT).write_text('{"state": "failed", "detail": "out of memory"}')
    assert local.read_result(tmp_path) == Status(
        "failed", {"state": "failed", "detail": "out of memory"}, "out of memory"
    )


def test_an_output_that_cannot_be_made_is_a_clear_error(tmp_path: Path, release: tuple[Path, str]) -> None:
    pytest.importorskip("trl")
    from provenance.training.plan import Plan, format_plan

    (tmp_path / "file").write_text("")
    plan = Plan(
        run_id="r",
        release_dir=str(release[0]),
        release_digest=release[1],
        output_dir=str(tmp_path / "file" / "run"),
        config={"student": "scratch"},
    )
    path = tmp_path / "plan.json"
    path.write_bytes(format_plan(plan))
    with pytest.raises(MalformedError, match="output_dir"):
        local.start_process(path)


def test_a_number_that_no_process_has_has_no_start_time() -> None:
    assert local._start_time(os.getpid()) is not None
    assert local._start_time(2**22 + 1) is None


def test_trackers_write_into_the_run_s_own_folder_and_nowhere_else(
    make_plan: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "https://elsewhere.example")
    environment = local.build_environment(parse_plan(make_plan().read_bytes()))
    output = str((tmp_path / "run").resolve())
    assert (environment["WANDB_MODE"], environment["WANDB_DIR"]) == ("offline", output)
    assert environment["MLFLOW_TRACKING_URI"] == f"sqlite:///{output}/mlflow.db"
    assert "elsewhere" not in str(environment)
