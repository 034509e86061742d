"""A run that was cancelled goes on as if it never had been; whatever comes meanwhile ends in its statements."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from provenance.api.deps import make_id
from provenance.training.backend import Need
from provenance.training.local import LocalBackend
from provenance.training.slots import Held
from provenance.training.supervise import cancel_run, read_events
from tests.service import SMALL_TRAINING, LocalService

pytestmark = [pytest.mark.training, pytest.mark.slow]
URL = "/api/v1/runs"
BODY: dict[str, Any] = {"release": "tutor@1", "student": "acme-tutor", "seed": 3}
LONG = SMALL_TRAINING | {"max_steps": 100_000, "save_steps": 5}


def launch(service: LocalService, config: dict[str, Any], **changes: Any) -> str:
    return str(service.post(URL, BODY | {"config": config} | changes)["status_url"])


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def events(service: LocalService, url: str, name: str) -> list[dict[str, Any]]:
    output = service.data_dir / "runs" / url.rpartition("/")[2] / "out"
    return [event for event in read_events(output) if event["event"] == name]


def stop(service: LocalService, url: str) -> dict[str, Any]:
    """Cancel a run once it has a checkpoint."""
    wait_for(lambda: bool(events(service, url, "checkpoint")))
    service.post(f"{url}/cancel", None)
    run: dict[str, Any] = service.wait(url)
    assert run["state"] == "cancelled", run
    return run


def phases(run: dict[str, Any]) -> list[str]:
    return [item["phase"] for item in run["entries"]]


def test_a_resumed_run_consumes_what_an_undisturbed_one_does_and_ends_in_the_same_model(service: LocalService) -> None:
    config = SMALL_TRAINING | {"max_steps": 150, "save_steps": 5}
    whole = service.wait(launch(service, config))["statement"]
    url = launch(service, config)
    ended = stop(service, url)
    headers = {"Idempotency-Key": "go-on"}
    said = service.post(f"{url}/resume", None, headers=headers)
    run = service.wait(url)
    assert (run["state"], run["attempt"]) == ("done", 2), run
    assert phases(run) == ["plan", "start", "cancel", "resume", "end"]
    assert said["step"] == ended["statement"]["steps"]
    assert [event["step"] for event in events(service, url, "resumed")] == [said["step"]]
    facts = ("sample_ids_digest", "consumed", "tokens", "steps", "flops")
    assert {name: run["statement"][name] for name in facts} == {name: whole[name] for name in facts}
    digests = {service.get(f"/api/v1/models/{said['model']}")["weights_digest"] for said in (whole, run["statement"])}
    assert len(digests) == 1
    assert run["statement"]["wall_seconds"] > ended["statement"]["wall_seconds"]
    assert "earlier processes" in run["statement"]["energy_kwh"]["note"]
    size = service.log_size()
    assert service.post(f"{url}/resume", None, headers=headers) == said  # the same key does nothing twice
    problem = service.post(f"{url}/resume", None, expect=409)
    assert (problem["code"], problem["errors"][0]["value"]) == ("run-not-resumable", "done")
    assert service.log_size() == size


def test_a_resumed_run_waits_at_the_end_of_the_queue_and_can_be_cancelled_there(service: LocalService) -> None:
    url = launch(service, LONG)
    first = stop(service, url)
    page = service.client.get(f"/runs/{first['id']}", headers={"accept": "text/html"}).text
    assert f"provenance run resume {first['id']}" in page
    busy = launch(service, LONG)
    wait_for(lambda: bool(events(service, busy, "step")))
    waiting = launch(service, LONG)
    service.post(f"{url}/resume", None)
    wait_for(lambda: "before it" in str(service.get(url)["progress"].get("waits_for")))
    service.post(f"{waiting}/cancel", None)
    service.wait(waiting)
    wait_for(lambda: "slot" in str(service.get(url)["progress"].get("waits_for")))
    assert service.post(f"{url}/resume", None, expect=409)["errors"][0]["value"] == "queued"
    service.post(f"{url}/cancel", None)
    run = service.wait(url)
    assert (run["state"], phases(run)) == ("cancelled", ["plan", "start", "cancel", "resume", "cancel"])
    assert len(events(service, url, "started")) == 1
    service.post(f"{busy}/cancel", None)
    service.wait(busy)
    service.post(f"{url}/resume", None)  # its checkpoint is still there
    wait_for(lambda: len(events(service, url, "resumed")) == 1)
    assert service.post(f"{url}/resume", None, expect=409)["errors"][0]["value"] == "running"
    service.post(f"{url}/cancel", None)
    assert phases(service.wait(url))[-2:] == ["resume", "cancel"]


def test_what_is_withdrawn_while_a_resumed_run_waits_ends_it_and_the_log_says_so(service: LocalService) -> None:
    student = service.get("/api/v1/students/acme-tutor")["id"]
    service.release(student, "taken")
    url = launch(service, LONG, release="taken@1")
    stop(service, url)
    busy = launch(service, LONG)
    wait_for(lambda: bool(events(service, busy, "step")))
    service.post(f"{url}/resume", None)
    service.post("/api/v1/releases/taken@1/withdraw", {"reason": "a mistake"}, expect=201)
    service.post(f"{busy}/cancel", None)
    service.wait(busy)
    run = service.wait(url)
    assert (run["state"], phases(run)[-2:]) == ("failed", ["resume", "fail"])
    assert "withdrawn" in run["error"]["detail"]
    assert len(events(service, url, "started")) == 1
    problem = service.post(f"{url}/resume", None, expect=409)
    assert problem["code"] == "release-not-allowed"
    assert problem["decision"]["id"] == service.get("/api/v1/releases/taken@1")["decision"]["id"]


def test_a_cancel_between_slot_and_start_is_not_forgotten(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, run_id = LocalBackend.reserve, make_id("run", "between")

    def reserve_then_cancel(self: LocalBackend, need: Need) -> Held | str:
        held = reserve(self, need)
        cancel_run(service.data_dir / "runs" / run_id)
        return held

    monkeypatch.setattr(LocalBackend, "reserve", reserve_then_cancel)
    url = service.post(URL, BODY | {"config": LONG}, headers={"Idempotency-Key": "between"})["status_url"]
    run = service.wait(url)
    assert (run["state"], phases(run)) == ("cancelled", ["plan", "start", "cancel"])
    assert "before it was started" in run["error"]["detail"]
    assert events(service, url, "started") == []
