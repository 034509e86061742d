"""The whole life of runs on a real Ray cluster, which is started here."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from provenance.training import supervise
from provenance.training.backend import Need
from provenance.training.files import digest_files, list_files
from provenance.training.local import LOG
from provenance.training.plan import format_plan, parse_plan
from provenance.training.ray import RayBackend
from provenance.training.ray_api import ENDED, RayApi, RayError, open_api
from tests.ray_cluster import RayCluster, find_processes

pytestmark = [pytest.mark.ray, pytest.mark.training, pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE_SECONDS = 240


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    yield cluster
    cluster.close()
    assert not cluster.processes()


class Run:
    """A run's folder and the thread that watches it, as a job of the service would."""

    def __init__(self, cluster: RayCluster, root: Path, plan: Path, *, need: Need = Need()) -> None:  # noqa: B008  # frozen
        shared = root / "shared"
        shared.mkdir(mode=0o700, exist_ok=True)
        token = SecretStr(cluster.token) if cluster.token else None
        open_cluster = partial(open_api, cluster.url, token)
        self.backend = RayBackend(open_cluster, shared, sys.executable, root / "slots")
        self.need = need
        self.seen: list[dict[str, Any]] = []
        self.outcome: dict[str, Any] = {}
        self.variables: list[bytes] = []
        said = parse_plan(plan.read_bytes())
        self.folder = root / "runs" / f"run_{said.run_id}"
        self.folder.mkdir(parents=True)
        self.there = shared / self.folder.name
        placed = self.backend.place(msgspec.structs.replace(said, run_id=self.folder.name), self.folder)
        (self.folder / "plan.json").write_bytes(format_plan(placed))

    def watch(self) -> Run:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        self.outcome = supervise.watch_run(self.folder, self.seen.append, self.backend, self.need)

    def wait(self) -> dict[str, Any]:
        self._thread.join(timeout=PATIENCE_SECONDS)
        assert self.outcome, (self.events(), self.seen[-3:])
        return self.outcome

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        return [event for event in supervise.read_events(self.folder / "out") if name in {None, event["event"]}]

    def wait_for(self, name: str) -> None:
        give_up = time.monotonic() + 120
        while not self.events(name):
            assert time.monotonic() < give_up, (self.events(), self.outcome, self.seen[-3:])
            time.sleep(0.05)

    def note(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((self.folder / "ray.json").read_bytes())
        return said

    def processes(self) -> list[int]:
        return find_processes(str(self.there))


@pytest.fixture
def make_run(cluster: RayCluster, tmp_path: Path, make_plan: Callable[..., Path]) -> Callable[..., Run]:
    def make(name: str = "one", config: dict[str, Any] | None = None, need: Need = Need(), **changes: Any) -> Run:  # noqa: B008  # frozen
        return Run(cluster, tmp_path, make_plan(name, config, processes=need.processes, **changes), need=need)

    return make


LONG = {"max_steps": 400, "save_steps": 5, "batch_size": 2}


def test_a_run_on_the_cluster_ends_as_one_here_does(make_run: Callable[..., Run]) -> None:
    run = make_run()
    outcome = run.watch().wait()
    assert outcome["state"] == "finished", outcome
    result = outcome["result"]
    assert result["consumed"]["equals_release"] is True
    assert result["isolation"] in {"bwrap", "unshare", "plain"}
    model = run.folder / "out" / "model"
    assert digest_files(list_files(model)) == result["weights_digest"]
    assert {path.suffix for path in model.iterdir()} <= {".safetensors", ".json", ".jinja", ".txt"}
    assert [event["step"] for event in run.events("step")] == list(range(1, 9))
    assert run.events()[-1]["event"] == "finished"
    place = outcome["backend"]
    assert place["submission_id"] == f"{run.folder.name}.1"
    assert (place["authenticated"], place["ray_version"]) == (True, "2.60.0")
    assert place["node"]["environment_digest"].startswith("sha256:")
    assert not run.there.exists()
    assert run.processes() == []


def test_two_processes_train_one_student_on_a_node(make_run: Callable[..., Run]) -> None:
    run = make_run("two", {"max_steps": 4, "batch_size": 2}, Need(processes=2))
    outcome = run.watch().wait()
    assert outcome["state"] == "finished", (outcome, (run.folder / "out" / LOG).read_text()[-2000:])
    assert outcome["result"]["processes"] == 2
    assert run.processes() == []


def test_the_trainer_sees_no_variable_of_the_cluster(make_run: Callable[..., Run], cluster: RayCluster) -> None:
    run = make_run("quiet", LONG).watch()
    run.wait_for("started")
    seen = b"".join((Path("/proc") / str(pid) / "environ").read_bytes() for pid in run.processes())
    assert b"PROVENANCE_ISOLATION" in seen
    assert (cluster.token or "").encode() not in seen
    assert b"RAY_" not in seen
    supervise.cancel_run(run.folder)
    assert run.wait()["state"] == "cancelled"


def test_a_cancel_ends_the_run_at_its_next_step_and_everything_is_gone(make_run: Callable[..., Run]) -> None:
    run = make_run("cancelled", LONG).watch()
    run.wait_for("step")
    supervise.cancel_run(run.folder)
    outcome = run.wait()
    assert (outcome["state"], outcome["result"]["code"]) == ("cancelled", "run-cancelled")
    assert run.processes() == []
    assert not run.there.exists()
    assert list((run.folder / "out").glob("checkpoint-*")) == []


def test_a_run_that_does_not_listen_is_ended_with_all_its_children(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "CANCEL_GRACE_SECONDS", 1.0)
    _end_by_force(make_run("deaf", LONG, Need(processes=2)).watch())


def test_on_a_node_without_any_sandbox_nothing_is_left_behind_too(
    tmp_path: Path, make_plan: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "CANCEL_GRACE_SECONDS", 1.0)
    plain = RayCluster(hidden=("bwrap", "unshare"))
    try:
        run = Run(plain, tmp_path, make_plan("plain", LONG, processes=2), need=Need(processes=2)).watch()
        _end_by_force(run)
        assert any(b"PROVENANCE_ISOLATION=plain" in said for said in run.variables)
    finally:
        plain.close()


def _end_by_force(run: Run) -> None:
    run.wait_for("step")
    run.variables = [(Path("/proc") / str(pid) / "environ").read_bytes() for pid in run.processes()]
    for pid in run.processes():
        if b"provenance.training.distill" in (Path("/proc") / str(pid) / "cmdline").read_bytes():
            os.kill(pid, signal.SIGSTOP)
    supervise.cancel_run(run.folder)
    outcome = run.wait()
    assert outcome["state"] == "cancelled"
    assert "by force" in outcome["detail"]
    give_up = time.monotonic() + 10
    while run.processes() and time.monotonic() < give_up:
        time.sleep(0.1)
    assert run.processes() == []


def test_a_killed_trainer_goes_on_from_its_checkpoint_as_a_second_submission(make_run: Callable[..., Run]) -> None:
    run = make_run("killed", {"max_steps": 40, "save_steps": 5, "batch_size": 2}).watch()
    run.wait_for("checkpoint")
    for pid in run.processes():
        if b"provenance.training.distill" in (Path("/proc") / str(pid) / "cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    outcome = run.wait()
    assert outcome["state"] == "finished", outcome
    assert run.note()["submission_id"].endswith(".2")
    (resumed,) = run.events("resumed")
    assert resumed["step"] >= 5
    assert {event["step"] for event in run.events("step")} == set(range(1, 41))


def test_a_watcher_that_comes_later_finds_the_run_and_starts_none(make_run: Callable[..., Run]) -> None:
    run = make_run("found", {"max_steps": 30, "batch_size": 2})
    held = run.backend.reserve(run.need)
    assert not isinstance(held, str)
    run.backend.start(run.folder, run.need, held)  # and here the service is killed
    held.close()
    note = run.note()
    run.backend.start(run.folder, run.need, held)  # started again, it is the same submission
    assert run.note() == note
    assert run.watch().wait()["state"] == "finished"
    assert run.note() == note


def test_what_was_altered_on_its_way_is_not_run(make_run: Callable[..., Run]) -> None:
    run = make_run("altered")
    entrypoint, digest = run.backend._write_job(run.folder)
    with (run.there / "code.zip").open("ab") as code:
        code.write(b"#")
    with run.backend.open_api() as api:
        api.submit(f"{run.folder.name}.1", entrypoint, cpus=1, gpus=0)
    (run.folder / "ray.json").write_text(
        json.dumps({"attempt": 1, "submission_id": f"{run.folder.name}.1", "job_digest": digest})
    )
    outcome = run.watch().wait()
    assert outcome["state"] == "failed"
    assert "code.zip: expected sha256:" in outcome["detail"]


def test_an_altered_release_is_refused_on_the_node_before_the_first_step(make_run: Callable[..., Run]) -> None:
    run = make_run("swapped")
    (shard,) = (run.there / "release" / "data").glob("train-*")
    shard.write_bytes(shard.read_bytes()[:-1] + b"#")
    outcome = run.watch().wait()
    assert (outcome["state"], outcome["result"]["code"]) == ("failed", "digest-mismatch")
    assert run.events("step") == []


def test_a_run_that_waits_in_the_clusters_queue_is_cancelled_for_good(make_run: Callable[..., Run]) -> None:
    other, run = make_run("other"), make_run("waiting")
    with run.backend.open_api() as api:
        api.submit("run_occupies.1", "sleep 300", cpus=2, gpus=0)
        wait_until(api, "run_occupies.1", "RUNNING")
        wait_for(lambda: isinstance(other.backend.reserve(other.need), str))  # it waits here, not there
        run.backend.start(run.folder, run.need, other.backend.reserve(run.need))  # type: ignore[arg-type]  # no slot was given
        assert run.backend.poll(run.folder).waits
        run.backend.kill(run.folder)
        run.backend.clear(run.folder)
        api.stop("run_occupies.1")
        # Ray takes it out of its queue only now: it stops it unstarted, or starts it and it finds nothing to run.
        wait_for(lambda: (job := api.find_job(f"{run.folder.name}.1")) is not None and job.state in ENDED)
        job = api.find_job(f"{run.folder.name}.1")
        assert job is not None
        assert job.exit_code in {None, 6}
    assert run.events() == []
    assert not run.there.exists()


def wait_until(api: RayApi, submission_id: str, state: str) -> None:
    wait_for(lambda: (job := api.find_job(submission_id)) is not None and job.state == state)


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.2)


def test_more_than_any_node_has_is_refused(make_run: Callable[..., Run]) -> None:
    run = make_run("large")
    run.backend.check(Need())
    for need in (Need(gpus=1), Need(processes=3)):
        with pytest.raises(RayError, match="expected a node with"):
            run.backend.check(need)


def test_a_cluster_goes_down_and_comes_back_and_the_run_goes_on(
    make_run: Callable[..., Run], cluster: RayCluster
) -> None:
    run = make_run("outage", {"max_steps": 1500, "save_steps": 5, "batch_size": 2}).watch()
    run.wait_for("checkpoint")
    cluster.stop()
    wait_for(lambda: any(said.get("waits_for") for said in run.seen[-3:]))
    assert run.processes() == []
    cluster.start(cluster.port)
    outcome = run.wait()
    assert outcome["state"] == "finished", outcome
    assert run.events("resumed"), [event for event in run.events() if event["event"] != "step"]


def test_a_cluster_without_authentication_is_refused_unless_told(tmp_path: Path) -> None:
    bare = RayCluster(cpus=1, token=None)
    try:
        with open_api(bare.url, None) as api:
            with pytest.raises(RayError, match="allow-unauthenticated-cluster"):
                api.check(allow_unauthenticated=False)
            assert api.check(allow_unauthenticated=True).authenticated is False
    finally:
        bare.close()
