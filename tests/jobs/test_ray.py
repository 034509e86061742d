"""Runs on a real Ray cluster as users ask for them: over HTTP, through the queue, with the service killed meanwhile."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.training.files import digest_files, list_files
from tests.ray_cluster import RayCluster, find_processes
from tests.service import ServiceProcess

pytestmark = [pytest.mark.ray, pytest.mark.training, pytest.mark.slow, pytest.mark.timeout(600)]
SMALL = {
    "student": "scratch",
    "hidden": 64,
    "layers": 1,
    "common_tokens": 300,
    "sample_generations": 1,
    "test_samples": 2,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster(cpus=1)
    yield cluster
    cluster.close()
    assert not cluster.processes()


@pytest.fixture
def service(
    cluster: RayCluster, start_service: Callable[..., ServiceProcess], world: Path, tmp_path: Path
) -> ServiceProcess:
    shutil.copytree(world, tmp_path / "data")
    (tmp_path / "shared").mkdir(mode=0o700)
    return start_service(
        PROVENANCE_RAY_URL=cluster.url,
        PROVENANCE_RAY_TOKEN=cluster.token,
        PROVENANCE_RAY_SHARED_DIR=str(tmp_path / "shared"),
        PROVENANCE_RAY_PYTHON=sys.executable,
    )


def launch(service: ServiceProcess, steps: int, **changes: Any) -> str:
    config = SMALL | {"max_steps": steps, "save_steps": 10}
    body = {"release": "tutor@1", "student": "acme-tutor", "config": config, "backend": "ray"} | changes
    return str(service.post("/api/v1/runs", body)["status_url"])


def folder_of(service: ServiceProcess, url: str) -> Path:
    return service.data_dir / "runs" / url.rpartition("/")[2]


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_a_killed_service_finds_its_run_on_the_cluster_and_starts_no_second(
    service: ServiceProcess, tmp_path: Path
) -> None:
    url = launch(service, 60)
    folder = folder_of(service, url)
    wait_for((folder / "out" / "events.jsonl").exists)
    service.kill()
    note = json.loads((folder / "ray.json").read_bytes())
    service.start()
    run = service.wait(url)
    assert run["state"] == "done", run
    assert json.loads((folder / "ray.json").read_bytes()) == note
    events = (folder / "out" / "events.jsonl").read_text()
    assert (events.count('"started"'), events.count('"resumed"'), events.count('"finished"')) == (1, 0, 1)
    assert [item["phase"] for item in run["entries"]] == ["plan", "start", "end"]
    backend = run["statement"]["backend"]
    assert (backend["name"], backend["submission_id"], backend["authenticated"]) == ("ray", f"{run['id']}.1", True)
    assert run["plan"]["environment_digest"] is None
    assert backend["node"]["environment_digest"].startswith("sha256:")
    model = service.get(f"/api/v1/models/{run['model']}")
    assert digest_files(list_files(folder / "out" / "model")) == model["weights_digest"]
    streamed = service.client.get(f"{url}/events").text
    assert streamed.count('"event": "step"') == 60
    assert '"state": "done"' in streamed
    assert list((tmp_path / "shared").glob("run_*")) == []


def test_a_second_run_waits_here_until_the_cluster_has_room_and_can_be_cancelled_there(
    service: ServiceProcess, tmp_path: Path
) -> None:
    first = launch(service, 5000)
    wait_for((folder_of(service, first) / "out" / "events.jsonl").exists)
    second = launch(service, 5)
    wait_for(lambda: bool(service.get(second)["progress"].get("waits_for")))
    waiting = service.get(second)
    assert (waiting["state"], waiting["entries"]) == ("queued", [])
    service.post(f"{second}/cancel", None)
    assert service.wait(second)["state"] == "cancelled"
    assert not (folder_of(service, second) / "ray.json").exists()
    service.post(f"{first}/cancel", None)
    run = service.wait(first)
    assert (run["state"], run["entries"][-1]["phase"]) == ("cancelled", "cancel")
    assert find_processes(str(tmp_path / "shared" / run["id"])) == []


def test_what_the_cluster_cannot_hold_is_refused_and_nothing_is_begun(service: ServiceProcess) -> None:
    size = service.log_size()
    body = {"release": "tutor@1", "student": "acme-tutor", "config": SMALL, "backend": "ray", "gpus": 1}
    problem = service.post("/api/v1/runs", body, expect=409)
    assert (problem["code"], service.log_size()) == ("ray-cluster", size)
    assert "expected a node with 1 CPU and 1 GPU" in problem["detail"]
