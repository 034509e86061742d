from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.training import local, supervise
from provenance.training.attempt import note_attempt
from provenance.training.backend import Need
from tests.ray_cluster import find_processes

Steps = dict[str, Any]


def backend_of(folder: Path) -> local.LocalBackend:
    return local.LocalBackend(folder.parent / "slots")


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
        self.outcome = supervise.watch_run(self.folder, self.seen.append, backend_of(self.folder), Need())

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
    assert (
        supervise.watch_run(folder, watcher.seen.append, backend_of(folder), Need()) == outcome
    )  # asked again, it answers and starts nothing


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
    outcome = supervise.watch_run(tmp_path, lambda _: pytest.fail("it was not watched"), backend_of(tmp_path), Need())
    result = {"state": "finished", "steps": 3}
    assert outcome == {"state": "finished", "result": result, "detail": None, "backend": {"name": "local"}}


def test_a_run_that_nobody_answered_is_started_again_and_tended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = folder / "out"
    output.mkdir(exist_ok=True)
    (output / local.RESULT).write_text('{"state": "lost", "code": "run-unanswered", "detail": "nobody answered"}')
    processes: list[subprocess.Popen[bytes]] = []
    tended: list[int] = []

    def start(_self: object, place: Path, _need: Need, _held: object) -> None:
        processes.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"]))
        said = {"pid": processes[0].pid, "start_time": local._start_time(processes[0].pid), "level": "plain"}
        (place / "process.json").write_text(json.dumps(said))
        (output / local.RESULT).write_text('{"state": "finished", "steps": 3}')

    backend = backend_of(folder)
    monkeypatch.setattr(type(backend), "start", start)
    outcome = supervise.watch_run(folder, lambda _: None, backend, Need(), tend=lambda: tended.append(1))
    assert (outcome["state"], len(processes)) == ("finished", 1)
    assert tended
    processes[0].wait()


def test_a_torn_last_event_is_left_for_the_next_look(tmp_path: Path) -> None:
    assert supervise.read_events(tmp_path) == []
    assert supervise.read_progress(tmp_path) == {}
    (tmp_path / local.EVENTS).write_text('{"event": "started"}\n{"event": "st')
    assert supervise.read_events(tmp_path) == [{"event": "started"}]
    assert supervise.read_progress(tmp_path) == {"step": {"event": "started"}}


def test_a_cancel_is_a_file_that_the_trainer_looks_for(tmp_path: Path) -> None:
    supervise.cancel_run(tmp_path / "run")
    assert (tmp_path / "run" / "out" / local.CANCEL).exists()


@pytest.fixture
def deaf(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is taken for the run's and looks for nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    said = {"pid": process.pid, "start_time": local._start_time(process.pid), "level": "plain"}
    (folder / local.PROCESS).write_text(json.dumps(said))
    yield process
    process.kill()
    process.wait()


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_a_run_that_does_not_listen_is_ended_by_force_after_a_grace(
    folder: Path, deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "CANCEL_GRACE_SECONDS", 0.5)
    supervise.cancel_run(folder)
    outcome = Watcher(folder).wait()
    assert (outcome["state"], outcome["result"]) == ("cancelled", {})
    assert "by force" in outcome["detail"]
    assert not backend_of(folder).find(folder)


def test_asked_to_stop_twice_the_first_time_counts(folder: Path) -> None:
    supervise.cancel_run(folder)
    age(folder / "out" / local.CANCEL, 100)
    supervise.cancel_run(folder)
    assert supervise._age(folder / "out" / local.CANCEL) > 99


def test_a_run_that_goes_on_after_its_deadline_is_ended_by_force(folder: Path, deaf: subprocess.Popen[bytes]) -> None:
    age(folder / "plan.json", 86_400 + supervise.DEADLINE_GRACE_SECONDS + 1)
    outcome = Watcher(folder).wait()
    assert (outcome["state"], outcome["result"]) == ("failed", {})
    assert "its deadline" in outcome["detail"]
    assert not backend_of(folder).find(folder)


def test_a_resumed_run_has_its_deadline_from_the_attempt_s_own_beginning(
    folder: Path, deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    age(folder / "plan.json", 10 * 86_400)
    note_attempt(folder, 2, 9.5)
    monkeypatch.setattr(supervise, "CANCEL_GRACE_SECONDS", 0.0)
    watcher = Watcher(folder)
    time.sleep(1.5)
    assert not watcher.outcome  # the plan is old, the attempt is not
    age(folder / "attempt.json", 86_400 + supervise.DEADLINE_GRACE_SECONDS + 1)
    assert "its deadline" in watcher.wait()["detail"]


@pytest.mark.parametrize("slot", [True, False])
def test_a_run_that_is_cancelled_after_its_slot_was_taken_is_not_started(folder: Path, slot: bool) -> None:
    backend = backend_of(folder)
    held = backend.reserve(Need()) if slot else None
    assert not isinstance(held, str)
    supervise.cancel_run(folder)
    outcome = supervise.watch_run(folder, lambda _: None, backend, Need(), held)
    assert (outcome["state"], outcome["detail"]) == ("cancelled", "cancelled before it was started")
    assert not (folder / local.PROCESS).exists()
    assert not isinstance(backend.reserve(Need()), str)  # the slot is free again


@pytest.mark.slow
@pytest.mark.training
def test_a_killed_run_of_two_processes_leaves_none_behind_without_a_sandbox_too(
    tmp_path: Path, make_plan: Callable[..., Path]
) -> None:
    config = {"max_steps": 4000, "save_steps": 4000, "batch_size": 2}
    plan = make_plan("both", config, processes=2)
    handle = local.start_process(plan, level="plain")
    output = tmp_path / "both"
    deadline = time.monotonic() + 120
    while not any(event["event"] == "step" for event in supervise.read_events(output)):
        assert time.monotonic() < deadline, (output / local.LOG).read_text()
        time.sleep(0.05)
    assert len(find_processes(str(plan))) >= 3  # torchrun and its two workers, each in a session of its own
    local.kill(handle)
    deadline = time.monotonic() + 20
    while find_processes(str(plan)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert local.poll(handle, output).state == "lost"


def test_a_run_waits_for_its_slot_and_not_if_it_is_cancelled(folder: Path) -> None:
    backend = backend_of(folder)
    held = backend.reserve(Need())
    assert not isinstance(held, str)
    seen: list[Steps] = []
    threading.Timer(1.2, held.close).start()
    own = supervise.wait_for_slot(folder, backend, Need(), seen.append)
    assert own is not None
    assert seen[0] == {"waits_for": "one of 1 processor slot(s) of this machine"}
    assert seen[-1] == {"waits_for": None}
    supervise.cancel_run(folder)
    assert supervise.wait_for_slot(folder, backend, Need(), seen.append) is None
    own.close()
