from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.training import local, supervise

Steps = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path, make_plan: Callable[..., Path]) -> Path:
    """A run's folder as `launch` leaves it: the plan in it, the output folder below it."""
    folder = tmp_path / "run-folder"
    (folder / "out").mkdir(parents=True)
    config = {"max_steps": 40, "save_steps": 5, "batch_size": 2}
    make_plan(config=config, output_dir=str(folder / "out")).rename(folder / "plan.json")
    return folder


class Watcher:
    """`watch_run` in a thread, as a job would run it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen, self.outcome = folder, [], {}  # type: tuple[Path, list[Steps], dict[str, Any]]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.outcome = supervise.watch_run(self.folder, self.seen.append)

    def wait(self) -> dict[str, Any]:
        self._thread.join(timeout=120)
        assert self.outcome, events(self.folder)
        return self.outcome


def events(folder: Path, name: str | None = None) -> list[dict[str, Any]]:
    return [event for event in supervise.read_events(folder / "out") if name in {None, event["event"]}]


def wait_for(folder: Path, name: str) -> None:
    deadline = time.monotonic() + 90
    while not events(folder, name):
        assert time.monotonic() < deadline, (folder / "out" / local.LOG).read_text()
        time.sleep(0.02)


def process_of(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / "process.json").read_bytes())
    return said


@pytest.mark.slow
@pytest.mark.training
def test_a_killed_trainer_is_started_again_and_goes_on_from_its_checkpoint(folder: Path) -> None:
    watcher = Watcher(folder)
    wait_for(folder, "checkpoint")
    first = process_of(folder)
    os.killpg(first["pid"], signal.SIGKILL)
    outcome = watcher.wait()
    assert outcome["state"] == "finished", outcome
    assert outcome["result"]["steps"] == 40
    assert process_of(folder) != first
    (resumed,) = events(folder, "resumed")
    assert resumed["step"] >= 5
    steps = [event["step"] for event in events(folder, "step")]
    assert set(steps) == set(range(1, 41))
    assert supervise.watch_run(folder, watcher.seen.append) == outcome  # asked again, it answers and starts nothing


@pytest.mark.slow
@pytest.mark.training
def test_a_trainer_that_is_lost_twice_is_given_up(folder: Path) -> None:
    watcher = Watcher(folder)
    for _ in range(2):
        wait_for(folder, "started")
        pid = process_of(folder)["pid"]
        (folder / "out" / local.EVENTS).unlink()
        os.killpg(pid, signal.SIGKILL)
        while not watcher.outcome and process_of(folder)["pid"] == pid:
            time.sleep(0.02)
    outcome = watcher.wait()
    assert (outcome["state"], outcome["result"]) == ("lost", {})
    assert "killed" in outcome["detail"]


@pytest.mark.slow
@pytest.mark.training
def test_a_cancel_before_the_first_step_ends_the_run(folder: Path) -> None:
    supervise.cancel_run(folder)
    assert Watcher(folder).wait()["state"] == "cancelled"


def test_a_result_that_is_there_already_is_the_answer(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / local.RESULT).write_text('{"state": "finished", "steps": 3}')
    outcome = supervise.watch_run(tmp_path, lambda _: pytest.fail("it was not watched"))
    assert outcome == {"state": "finished", "result": {"state": "finished", "steps": 3}, "detail": None}


def test_a_run_that_nobody_answered_is_started_again_and_tended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / local.RESULT).write_text('{"state": "lost", "code": "run-unanswered", "detail": "nobody answered"}')
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"])
    handle = local.Handle(process.pid, local._start_time(process.pid) or "", "plain")
    started, tended = [], []

    def start(folder: Path) -> local.Handle:
        started.append(folder)
        (output / local.RESULT).write_text('{"state": "finished", "steps": 3}')
        return handle

    monkeypatch.setattr(supervise, "_start_process", start)
    outcome = supervise.watch_run(tmp_path, lambda _: None, lambda: tended.append(1))
    process.wait()
    assert (outcome["state"], len(started)) == ("finished", 1)
    assert tended


def test_a_torn_last_event_is_left_for_the_next_look(tmp_path: Path) -> None:
    assert supervise.read_events(tmp_path) == []
    assert supervise.read_progress(tmp_path) == {}
    (tmp_path / local.EVENTS).write_text('{"event": "started"}\n{"event": "st')
    assert supervise.read_events(tmp_path) == [{"event": "started"}]
    assert supervise.read_progress(tmp_path) == {"step": {"event": "started"}}


def test_a_cancel_is_a_file_that_the_trainer_looks_for(tmp_path: Path) -> None:
    supervise.cancel_run(tmp_path / "run")
    assert (tmp_path / "run" / "out" / local.CANCEL).exists()
