"""The smoke test for machines with GPUs, written to be run as it is on one and on several: `pytest -m gpu`.

One run on each number of GPUs that there are (NCCL from two on), GPUs as slots, and more of them than there are.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from provenance.errors import MalformedError
from provenance.training import supervise
from provenance.training.backend import Need
from provenance.training.local import LOG, LocalBackend
from provenance.training.slots import list_gpus
from tests.ray_cluster import RayCluster

pytestmark = [pytest.mark.gpu, pytest.mark.training, pytest.mark.slow, pytest.mark.timeout(900)]
MakePlan = Callable[..., Path]


def powers(count: int) -> list[int]:
    """1, 2, 4 ... and the number of GPUs itself."""
    return sorted({count, *(2**place for place in range(count.bit_length()) if 2**place <= count)} - {0})


@pytest.fixture
def make_folder(tmp_path: Path, make_plan: MakePlan) -> Callable[..., Path]:
    def make(name: str, gpus: int, **config: Any) -> Path:
        folder = tmp_path / f"run_{name}"
        (folder / "out").mkdir(parents=True)
        settings = {"max_steps": 24, "batch_size": 2, "log_steps": 1} | config
        plan = make_plan(name, settings, device="cuda", processes=gpus, output_dir=str(folder / "out"))
        plan.rename(folder / "plan.json")
        return folder

    return make


def finish(folder: Path, backend: LocalBackend, gpus: int) -> dict[str, Any]:
    outcome = supervise.watch_run(folder, lambda _: None, backend, Need(gpus, gpus))
    assert outcome["state"] == "finished", (outcome["detail"], (folder / "out" / LOG).read_text()[-3000:])
    result: dict[str, Any] = outcome["result"]
    return result


@pytest.mark.parametrize("gpus", powers(len(list_gpus())) or [1])
def test_a_run_on_each_number_of_gpus_uses_bf16_and_its_loss_falls(
    make_folder: Callable[..., Path], tmp_path: Path, gpus: int
) -> None:
    import torch

    folder = make_folder(f"on{gpus}", gpus)
    result = finish(folder, LocalBackend(tmp_path / "slots"), gpus)
    said = [event["gpus"] for event in supervise.read_events(folder / "out") if event["event"] == "step"]
    assert {len(each) for each in said} == {gpus}
    assert all(0 < gpu["memory_used_bytes"] <= gpu["memory_total_bytes"] for each in said for gpu in each)
    assert (result["dtype"], result["processes"]) == ("bfloat16", gpus)
    assert result["device"] == f"cuda: {', '.join([torch.cuda.get_device_name(0)] * gpus)}"
    assert result["gpu_peak_bytes"] > 0
    assert result["loss"]["last"] < result["loss"]["first"]
    assert result["consumed"]["equals_release"] is True
    assert result["energy_kwh"]["method"] in {"measured", "estimated"}


def test_the_slots_are_the_gpus(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """As many runs as there are GPUs run side by side, one on each; the next one waits for the first that ends."""
    present = list_gpus()
    backend = LocalBackend(tmp_path / "slots")
    assert backend.complete(Need()) == Need(len(present), len(present))
    with pytest.raises(MalformedError, match="the GPUs of this machine"):
        backend.complete(Need(len(present) + 1))
    folders = [make_folder(f"side{place}", 1, max_steps=200) for place in range(len(present))]
    watchers = [threading.Thread(target=finish, args=(folder, backend, 1), daemon=True) for folder in folders]
    for watcher in watchers:
        watcher.start()
    give_up = time.monotonic() + 120
    while not all(supervise.read_events(folder / "out") for folder in folders):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert isinstance(backend.reserve(Need(1, 1)), str)
    held = supervise.wait_for_slot(tmp_path, backend, Need(1, 1), lambda _: None)
    assert held is not None
    assert held.gpus[0] in present
    held.close()
    for watcher in watchers:
        watcher.join(timeout=300)
    assert all((folder / "out" / "result.json").exists() for folder in folders)


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster(gpus=len(list_gpus()))
    yield cluster
    cluster.close()


@pytest.mark.ray
def test_a_cluster_gives_a_run_the_gpus_that_it_asked_for(
    cluster: RayCluster, tmp_path: Path, make_plan: MakePlan
) -> None:
    from provenance.training.plan import format_plan, parse_plan
    from provenance.training.ray import RayBackend
    from provenance.training.ray_api import open_api

    (tmp_path / "shared").mkdir(mode=0o700)
    open_cluster = partial(open_api, cluster.url, SecretStr(cluster.token or ""))
    backend = RayBackend(open_cluster, tmp_path / "shared", sys.executable, tmp_path / "slots")
    folder = tmp_path / "runs" / "run_gpu"
    folder.mkdir(parents=True)
    plan = parse_plan(make_plan("run_gpu", {"max_steps": 24}, device="cuda").read_bytes())
    (folder / "plan.json").write_bytes(format_plan(backend.place(plan, folder)))
    backend.check(Need(1))
    outcome = supervise.watch_run(folder, lambda _: None, backend, Need(1))
    assert outcome["state"] == "finished", outcome
    assert outcome["result"]["device"].startswith("cuda: ")
    assert "," not in outcome["result"]["device"].partition("cuda: ")[2]  # one, however many there are
