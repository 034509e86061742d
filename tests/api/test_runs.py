from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.store.jobs import create_job
from provenance.store.session import write_session
from tests.service import SMALL_TRAINING, STUDENT, LocalService

URL = "/api/v1/runs"
GOOD: dict[str, Any] = {"release": "tutor@1", "student": "acme-tutor", "config": SMALL_TRAINING}


def refuse(service: LocalService, status: int, body: dict[str, Any]) -> Any:
    """The problem that a launch gets; nothing was begun by it."""
    size, runs = service.log_size(), service.get(URL)["runs"]
    problem = service.post(URL, body, expect=status)
    assert (service.log_size(), service.get(URL)["runs"]) == (size, runs)
    return problem


def test_training_on_a_blocked_release_is_refused_with_the_decision(service: LocalService) -> None:
    problem = refuse(service, 409, GOOD | {"release": "closed@1"})
    assert problem["code"] == "release-not-allowed"
    assert problem["decision"]["verdict"] == "deny"
    assert problem["decision"]["id"] == service.get("/api/v1/releases/closed@1")["decision"]["id"]


def test_training_a_student_that_the_release_was_not_made_for_is_refused(service: LocalService) -> None:
    other = service.post("/api/v1/students", STUDENT | {"name": "other"}, expect=201)["id"]
    problem = refuse(service, 409, GOOD | {"student": other})
    assert problem["code"] == "release-not-allowed"
    assert "another student" in problem["detail"]


def test_a_student_that_was_declared_anew_is_not_the_one_that_was_judged(service: LocalService) -> None:
    service.declare(name="changing")
    service.release(service.get("/api/v1/students/changing")["id"], "changing")
    service.declare(name="changing", use="research")
    assert (
        refuse(service, 409, GOOD | {"release": "changing@1", "student": "changing"})["code"] == "release-not-allowed"
    )


@pytest.fixture
def altered(service: LocalService) -> Iterator[Path]:
    """A shard of tutor@1, put back after the test."""
    (path, *_) = sorted((service.data_dir / "releases" / "tutor" / "1" / "data").glob("train-*.parquet"))
    data = path.read_bytes()
    yield path
    path.write_bytes(data)


def test_training_on_an_altered_release_is_refused_naming_the_file(service: LocalService, altered: Path) -> None:
    data = bytearray(altered.read_bytes())
    data[len(data) // 2] ^= 1
    altered.write_bytes(data)
    problem = refuse(service, 409, GOOD)
    assert problem["code"] == "digest-mismatch"
    assert altered.name in problem["detail"]
    altered.unlink()
    assert "missing" in refuse(service, 409, GOOD)["detail"]


BAD = [
    (404, "release", GOOD | {"release": "nothing@1"}),
    (404, "student", GOOD | {"student": "nobody"}),
    (422, "recipe", GOOD | {"recipe": "alchemy"}),
    (422, "max_steps", GOOD | {"config": SMALL_TRAINING | {"max_steps": 0}}),
    (422, "speed", GOOD | {"config": SMALL_TRAINING | {"speed": 3}}),
    (422, "config", GOOD | {"config": []}),
    (422, "backend", GOOD | {"backend": "abacus"}),
    (422, "gpus", GOOD | {"gpus": -1}),
    (422, "seed", GOOD | {"seed": 2**32}),
    (422, "release", {"student": "acme-tutor"}),
    (422, "sudo", GOOD | {"sudo": True}),
]


@pytest.mark.parametrize(("status", "field", "body"), BAD, ids=[f"{field}-{n}" for n, (_, field, _) in enumerate(BAD)])
def test_a_bad_request_names_its_field(service: LocalService, status: int, field: str, body: dict[str, Any]) -> None:
    problem = refuse(service, status, body)
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["expected"]


def test_a_base_model_that_is_not_on_this_machine_is_named_before_anything_begins(service: LocalService) -> None:
    problem = refuse(service, 404, GOOD | {"config": {}})
    assert problem["errors"][0]["field"] == "student.base_model"


def test_an_unknown_run_is_not_found(service: LocalService) -> None:
    for answer in (
        service.client.get(f"{URL}/run_none"),
        service.client.get(f"{URL}/run_none/events"),
        service.client.post(f"{URL}/run_none/cancel"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_only_a_run_can_be_cancelled(service: LocalService) -> None:
    with write_session(service.runtime.engine) as session:
        create_job(session, identifier="rep_x", kind="report", request={}, now="2026-11-24T10:00:00Z")
    assert service.client.post(f"{URL}/rep_x/cancel").status_code == 404


@pytest.mark.slow
@pytest.mark.training
def test_a_run_trains_registers_its_model_with_the_conditions_and_streams_its_events(service: LocalService) -> None:
    headers = {"Idempotency-Key": "run-1"}
    body = GOOD | {"config": SMALL_TRAINING | {"max_steps": 3}}
    said = service.post(URL, body, headers=headers)
    assert set(said) == {"id", "status_url", "events_url"}
    assert service.post(URL, body, headers=headers) == said
    assert service.post(URL, body | {"seed": 9}, expect=409, headers=headers)["errors"][0]["field"] == "Idempotency-Key"
    with service.client.stream("GET", said["events_url"]) as stream:
        events = [line for line in stream.iter_lines() if line.startswith(("data:", "event:"))]
    assert events[-2] == "event: end"
    assert json.loads(events[-1].removeprefix("data:")) == {"state": "done"}
    assert [json.loads(line[5:])["event"] for line in events[:-2]].count("step") >= 3
    run = service.wait(said["status_url"])
    assert run["state"] == "done", run
    assert [item["phase"] for item in run["entries"]] == ["plan", "start", "end"]
    model = service.get(f"/api/v1/models/{run['model']}")
    assert (model["kind"], model["run"], model["provider"]) == ("trained", run["id"], "acme")
    assert [item["type"] for item in model["conditions"]] == ["name-prefix"]
    assert set(model["parents"]) == {"huggingface-smollm/smollm2-135m-instruct", "meta/llama-3.1-8b-instruct"}
    assert service.get(f"/api/v1/log/lookup/digest/{model['weights_digest']}")["index"] == model["entry"]
    assert service.post(f"{URL}/{run['id']}/cancel", {})["state"] == "done"
    report = service.report(model["id"], formats=("json",))  # a model is a subject too
    assert report["state"] == "done", report
    size = service.log_size()
    assert service.post(URL, body, headers=headers) == said
    assert service.log_size() == size


@pytest.mark.slow
@pytest.mark.training
def test_a_run_that_is_cancelled_ends_and_registers_nothing(service: LocalService) -> None:
    said = service.post(URL, GOOD | {"config": SMALL_TRAINING | {"max_steps": 100_000}})
    while not service.get(said["status_url"])["progress"]:
        assert service.get(said["status_url"])["state"] != "failed"
    assert service.client.post(f"{said['status_url']}/cancel").status_code == 202
    run = service.wait(said["status_url"])
    assert (run["state"], run["model"]) == ("cancelled", None)
    assert run["entries"][-1]["phase"] == "cancel"
