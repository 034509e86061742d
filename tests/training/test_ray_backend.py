"""What a run comes to when the cluster says this or that, or nothing: the true state, and whether it may be started again."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import UnavailableError
from provenance.training import ray, supervise
from provenance.training.backend import Need, Status
from provenance.training.local import CANCEL
from provenance.training.plan import Plan, format_plan
from provenance.training.ray import RayBackend
from provenance.training.ray_api import RayError, open_api
from provenance.training.released import verify_release
from provenance.training.slots import Held, lock_file
from tests.training.ray_server import JOB, TOKEN, USAGE, Server

ID = "run_1.1"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def backend(server: Server, tmp_path: Path) -> RayBackend:
    (tmp_path / "shared").mkdir(mode=0o700)
    return RayBackend(partial(open_api, server.url, TOKEN), tmp_path / "shared", "/venv/bin/python", tmp_path / "slots")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "run_1"
    (folder / "out").mkdir(parents=True)
    note = {"attempt": 1, "submission_id": ID, "job_digest": "sha256:abc"}
    (folder / "ray.json").write_text(json.dumps(note))
    plan = Plan(run_id="run_1", release_dir="/r", release_digest="sha256:" + "0" * 64, output_dir="/o",
                config={"student": "scratch"})  # fmt: skip
    (folder / "plan.json").write_bytes(format_plan(plan))
    return folder


def say(server: Server, **changes: Any) -> None:
    server.answers[f"GET /api/jobs/{ID}"] = (200, json.dumps(JOB | changes).encode())


LOG = "Job entrypoint command failed with exit code 6, last available logs (truncated to 20,000 chars):\nRunning: x sha256:abc\n"
CASES: list[tuple[dict[str, Any], str, bool, str]] = [
    ({"status": "RUNNING"}, "running", False, ""),
    ({"status": "PENDING"}, "running", True, "the cluster's own queue"),
    ({"status": "FAILED", "driver_exit_code": 6, "message": f"{LOG}job.json: does this node see the shared folder?"}, "failed",
     False, "exit code 6: job.json: does this node see the shared folder?"),
    ({"status": "FAILED", "driver_exit_code": -9}, "lost", False, "exit code -9"),
    ({"status": "FAILED", "driver_exit_code": 137}, "lost", False, "exit code 137"),
    ({"status": "FAILED", "driver_exit_code": None, "message": "The actor died: its node was lost"}, "lost", False, "node was lost"),
    ({"status": "SUCCEEDED", "driver_exit_code": 0}, "lost", False, "without a result"),
    ({"status": "STOPPED"}, "failed", False, "stopped on the cluster by others"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_what_the_cluster_says_of_a_job_without_a_result(
    server: Server, backend: RayBackend, folder: Path, case: tuple[dict[str, Any], str, bool, str]
) -> None:
    said, state, waits, detail = case
    say(server, **said)
    status = backend.poll(folder)
    assert (status.state, status.waits, status.result) == (state, waits, None)
    assert detail in (status.detail or "")
    assert status.resume


def test_a_job_that_was_stopped_after_a_cancel_is_cancelled(server: Server, backend: RayBackend, folder: Path) -> None:
    supervise.cancel_run(folder)
    say(server, status="STOPPED")
    assert backend.poll(folder) == Status("cancelled")


def test_a_cancel_is_passed_on_to_where_the_trainer_looks(server: Server, backend: RayBackend, folder: Path) -> None:
    there = backend.shared / "run_1" / "out"
    there.mkdir(parents=True)
    backend.poll(folder)
    assert not (there / CANCEL).exists()
    supervise.cancel_run(folder)
    backend.poll(folder)
    assert (there / CANCEL).exists()


def test_a_result_counts_once_the_job_has_ended_whatever_the_cluster_still_knows(
    server: Server, backend: RayBackend, folder: Path
) -> None:
    there = backend.shared / "run_1" / "out"
    there.mkdir(parents=True)
    (there / "result.json").write_text('{"state": "failed", "code": "training-failed", "detail": "out of memory"}')
    assert backend.poll(folder).state == "running"
    del server.answers[f"GET /api/jobs/{ID}"]  # a cluster that was started anew
    status = backend.poll(folder)
    assert (status.state, status.detail) == ("failed", "out of memory")


def test_results_that_are_not_what_they_must_be_are_a_failed_run(
    server: Server, backend: RayBackend, folder: Path
) -> None:
    there = backend.shared / "run_1" / "out"
    there.mkdir(parents=True)
    (there / "result.json").write_text('{"state": "finished", "run_id": "run_2"}')
    say(server, status="SUCCEEDED", driver_exit_code=0)
    status = backend.poll(folder)
    assert (status.state, (status.result or {})["code"]) == ("failed", "malformed")
    assert "run_2" in (status.detail or "")


def test_a_cluster_out_of_reach_is_waited_for_and_then_the_run_is_lost_and_not_started_twice(
    server: Server, backend: RayBackend, folder: Path
) -> None:
    server.answers[f"GET /api/jobs/{ID}"] = (503, b"")
    status = backend.poll(folder)
    assert (status.state, status.waits) == ("running", True)
    assert backend.find(folder)  # nobody can say that it does not run
    long_ago = (folder / "silent").stat().st_mtime - ray.PATIENCE_SECONDS
    os.utime(folder / "silent", (long_ago, long_ago))
    status = backend.poll(folder)
    assert (status.state, status.resume) == ("lost", False)
    assert "may still run there" in (status.detail or "")
    outcome = supervise.watch_run(folder, lambda _: None, backend, Need())
    assert outcome["state"] == "lost"
    assert not [name for name, *_ in server.asked if name.startswith("POST")]


def test_an_answer_after_a_silence_starts_the_clock_anew(server: Server, backend: RayBackend, folder: Path) -> None:
    server.answers[f"GET /api/jobs/{ID}"] = (500, b"")
    backend.poll(folder)
    say(server)
    assert not backend.poll(folder).waits
    assert not (folder / "silent").exists()


def test_a_token_that_no_longer_opens_the_cluster_ends_the_run_with_that_reason(
    server: Server, backend: RayBackend, folder: Path
) -> None:
    server.answers[f"GET /api/jobs/{ID}"] = (403, b"Forbidden: Invalid authentication token")
    outcome = supervise.watch_run(folder, lambda _: None, backend, Need())
    assert (outcome["state"], outcome["result"]["code"]) == ("failed", "ray-cluster")
    assert "refuses the token" in outcome["detail"]


@pytest.mark.parametrize(
    ("gpus", "processes", "able"), [(0, 7, True), (0, 8, False), (2, 2, True), (3, 3, False), (0, 1, True)]
)
def test_a_run_is_handed_over_only_to_a_cluster_with_a_node_that_has_room(
    backend: RayBackend, gpus: int, processes: int, able: bool
) -> None:
    need = Need(gpus, processes)
    answer = backend.reserve(need)
    assert isinstance(answer, Held) is able
    if isinstance(answer, Held):
        assert backend.reserve(need) == "another run that is being handed to the cluster"
        answer.close()
    else:
        assert answer == f"a node of the cluster with {processes} CPU and {gpus} GPU free"
    if processes <= USAGE["n1"]["CPU"][1] and gpus <= USAGE["n1"]["GPU"][1]:
        backend.check(need)
    else:
        with pytest.raises(RayError, match="expected a node with"):
            backend.check(need)


def test_a_cluster_that_says_nothing_of_its_nodes_gets_no_run(server: Server, backend: RayBackend) -> None:
    server.answers["GET /api/cluster_status"] = (200, b'{"data": {"clusterStatus": {}}}')
    assert "does not say what its nodes have" in str(backend.reserve(Need()))
    with pytest.raises(UnavailableError):
        backend.check(Need())
    server.bare = True
    with pytest.raises(RayError):  # what will not pass by itself is not waited for
        backend.reserve(Need())
    free = lock_file(backend.slots / "ray.lock")
    assert free is not None
    os.close(free)


def test_what_is_placed_is_named_by_where_it_lies_and_taken_away_at_the_end(
    backend: RayBackend, tmp_path: Path, release: tuple[Path, str], tiny_teacher: Path
) -> None:
    folder = tmp_path / "runs" / "run_2"
    folder.mkdir(parents=True)
    plan = Plan(run_id="run_2", release_dir=str(release[0]), release_digest=release[1], output_dir="/here", environment_digest="x",
                base_model_dir=str(tiny_teacher), teacher_dir=str(tiny_teacher))  # fmt: skip
    placed = backend.place(plan, folder)
    assert backend.place(plan, folder) == placed  # once more, after a crash
    there = backend.shared / "run_2"
    assert (placed.release_dir, placed.output_dir) == (str(there / "release"), str(there / "out"))
    assert placed.base_model_dir == placed.teacher_dir
    assert placed.environment_digest is None
    verify_release(there / "release", release[1])
    assert there.stat().st_mode & 0o077 == 0
    backend.clear(folder)
    assert [path.name for path in backend.shared.iterdir()] == ["models"]


def test_the_command_line_passes_no_variable_and_holds_what_is_quoted(backend: RayBackend) -> None:
    line = backend.entrypoint(Path("/shared/a b'c/job.json"), "sha256:1")
    assert line.startswith('exec env -i PATH="$PATH"')
    assert "TOKEN" not in line
    assert shlex.split(line)[-2:] == ["/shared/a b'c/job.json", "sha256:1"]


def test_a_submission_is_sent_under_its_noted_id_and_under_the_next_once_that_one_has_ended(
    server: Server, backend: RayBackend, folder: Path, release: tuple[Path, str]
) -> None:
    plan = Plan(run_id="run_1", release_dir=str(release[0]), release_digest=release[1], output_dir="/o",
                config={"student": "scratch"})  # fmt: skip
    (folder / "plan.json").write_bytes(format_plan(backend.place(plan, folder)))
    held = Held((), ())

    def sent() -> list[str]:
        return [json.loads(body)["submission_id"] for name, _, body in server.asked if name == "POST /api/jobs/"]

    server.answers[f"GET /api/jobs/{ID}"] = (404, b"Job run_1.1 does not exist")
    assert not backend.find(folder)  # noted, and the service was killed before it was sent
    backend.start(folder, Need(), held)
    assert sent() == [ID]
    for state in ("PENDING", "RUNNING"):
        say(server, status=state)
        backend.start(folder, Need(), held)
    assert sent() == [ID]
    say(server, status="FAILED")
    backend.start(folder, Need(), held)
    assert sent() == [ID, "run_1.2"]
    assert json.loads((folder / "ray.json").read_bytes())["attempt"] == 2
