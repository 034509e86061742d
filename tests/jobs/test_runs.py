"""Runs of this machine stand in a queue: one slot, the order in which they were asked for, cancel while they wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.service import SMALL_TRAINING, LocalService

pytestmark = [pytest.mark.training, pytest.mark.slow]
URL = "/api/v1/runs"
BODY: dict[str, Any] = {"release": "tutor@1", "student": "acme-tutor"}


def launch(service: LocalService, steps: int, **changes: Any) -> str:
    body = BODY | {"config": SMALL_TRAINING | {"max_steps": steps, "save_steps": 10_000}} | changes
    return str(service.post(URL, body)["status_url"])


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def waits_for(service: LocalService, url: str) -> str:
    return str(service.get(url)["progress"].get("waits_for") or "")


def test_runs_wait_for_a_slot_in_the_order_in_which_they_were_asked_for(service: LocalService) -> None:
    first = launch(service, 100_000)
    wait_for(lambda: bool(service.get(first)["progress"].get("step")))
    second, third = launch(service, 5), launch(service, 3)
    wait_for(lambda: "processor slot" in waits_for(service, second))
    wait_for(lambda: "before it" in waits_for(service, third))
    for url in (second, third):
        run = service.get(url)
        assert (run["state"], run["entries"]) == ("queued", [])  # no plan is signed before its time
        page = service.client.get(url.removeprefix("/api/v1"))
        assert "It waits for" in page.text
    service.post(f"{second}/cancel", None)
    ended = service.wait(second)
    assert (ended["state"], ended["entries"]) == ("cancelled", [])
    service.post(f"{first}/cancel", None)
    assert service.wait(first)["state"] == "cancelled"
    run = service.wait(third)
    assert (run["state"], run["progress"]["waits_for"]) == ("done", None)
    assert run["statement"]["backend"] == {"name": "local"}
    assert (run["plan"]["backend"], run["plan"]["gpus"], run["plan"]["processes"]) == ("local", 0, 1)


def test_a_run_of_two_processes_is_asked_for_over_the_interface(service: LocalService) -> None:
    run = service.wait(launch(service, 4, processes=2, config=SMALL_TRAINING | {"max_steps": 4, "batch_size": 2}))
    assert run["state"] == "done", run
    assert run["plan"]["processes"] == 2


def test_what_the_machine_does_not_have_is_refused_and_nothing_is_begun(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    size = service.log_size()
    bad: list[tuple[int, str, dict[str, Any]]] = [
        (422, "gpus", {"gpus": 3}),
        (422, "processes", {"gpus": 2, "processes": 3}),
        (422, "processes", {"processes": 0}),
        (503, "PROVENANCE_RAY_URL", {"backend": "ray"}),
    ]
    for status, named, changes in bad:
        problem = service.post(URL, BODY | {"config": SMALL_TRAINING} | changes, expect=status)
        assert named in str(problem)
    assert service.log_size() == size
