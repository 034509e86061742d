"""Generations for real: a student is trained, served by name through the gateway, and teaches the next one.

Each student's samples carry what its own teacher left it: a derivative clause goes on, duties of outputs end.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import yaml

from tests.service import ROOT, STUDENT, ServiceProcess, make_sample

pytestmark = [pytest.mark.training, pytest.mark.slow]
GEMMA = {"provider": "google", "model": "gemma-2-9b", "route": "weights", "obtained_at": "2025-05-01"}
LLAMA = {"provider": "meta", "model": "llama-3.1-8b-instruct", "route": "weights", "obtained_at": "2025-03-01"}
SMALL = {"student": "scratch", "hidden": 64, "layers": 1, "common_tokens": 300, "sample_generations": 1}
SMALL |= {"test_samples": 2, "max_steps": 2}
ANSWERS = 8


@contextmanager
def teaching(service: ServiceProcess, model: dict[str, Any]) -> Iterator[str]:
    """Serve a student with the command that its owner uses, and let the gateway know it; the name that clients ask for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "provenance", "model", "serve", model["id"], "--port", str(port)]
    environment = service.environment | {
        "PROVENANCE_URL": str(service.client.base_url),
        "PROVENANCE_TOKEN": service.token,
    }
    said = subprocess.run(
        [*command, "--dry-run"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    entry = said.stdout.partition("\n")[2]
    (service.data_dir / "gateway.yaml").write_text(entry)
    with service.log.open("ab") as log:
        served = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 200, served)
        yield yaml.safe_load(entry)["upstreams"][0]["model"]
    finally:
        served.terminate()
        served.wait(timeout=30)


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 120
    while True:
        try:
            if happened():
                return
        except httpx.HTTPError:
            pass
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.1)


def capture(service: ServiceProcess, name: str, dataset: str) -> None:
    """Ask the student until the log holds some of its answers; an empty answer is no sample."""
    held = 0
    for seed in range(10 * ANSWERS):
        body = {"model": name, "messages": [{"role": "user", "content": f"Say sentence {seed}."}], "seed": seed}
        answer = service.client.post(
            "/gateway/v1/chat/completions",
            json=body | {"max_tokens": 24, "temperature": 1.0},
            headers={"Provenance-Dataset": dataset},
        )
        held += "Provenance-Index" in answer.headers
        if held == ANSWERS:
            return
    raise AssertionError(answer.text)


def train(service: ServiceProcess, name: str, dataset: str) -> dict[str, Any]:
    """Declare a student, release the data set for it and train it; the model."""
    student = service.declare(name=name, base_model="none", base_license=None)
    release = service.release(student, name, dataset=dataset)
    assert release["state"] == "allowed", release
    run = service.wait(
        service.post("/api/v1/runs", {"release": f"{name}@1", "student": name, "config": SMALL})["status_url"]
    )
    assert run["state"] == "done", run
    model: dict[str, Any] = service.get(f"/api/v1/models/{run['model']}")
    return model


def test_a_student_teaches_the_next_and_its_samples_carry_what_it_inherited(
    start_service: Callable[..., ServiceProcess],
) -> None:
    service = start_service()
    service.capture([make_sample(n, GEMMA, dataset="generation-0") for n in range(20)])
    service.capture([make_sample(n, LLAMA, dataset="generation-0") for n in range(20)])
    names = ["acme/student-1", "acme/student-2"]
    for number in (1, 2):
        model = train(service, f"student-{number}", f"generation-{number - 1}")
        with teaching(service, model) as name:
            assert name == names[number - 1]
            capture(service, name, f"generation-{number}")
        [teacher] = {
            item["teacher"]
            for item in service.get("/api/v1/lineage", params=ancestors(number))["nodes"]
            if item["distance"] == 0
        }
        assert teacher == name
    third = service.declare(name="student-3", base_model="none", base_license=None)
    decision = service.post("/api/v1/decisions", {"dataset": "generation-2", "student": third}, expect=201)
    assert decision["verdict"] == "allow-with-conditions"
    assert {item["id"] for item in decision["documents"]} == {"google-gemma-terms-2025-03-24"}
    ways = {item["carried_by"] for item in decision["conditions"]}
    assert ways == {"acme/student-2@1 <- acme/student-1@1 <- google/gemma-2-9b"}
    what_if = service.post(
        "/api/v1/decisions",
        {
            "sample": {**decision["classes"][0]["facts"]},
            "student": STUDENT | {"base_model": "none", "base_license": None},
        },
        expect=200,
    )
    assert what_if["inherited"] == decision["classes"][0]["answer"]["inherited"]
    shares = service.get("/api/v1/lineage/shares", params={"root": f"model:{model['id']}"})
    assert (shares["generation"], shares["self_made_share"]) == (2, 1.0)


def ancestors(number: int) -> dict[str, Any]:
    return {"root": f"dataset:generation-{number}", "direction": "ancestors"}
