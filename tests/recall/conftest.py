from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import LocalService, make_sample, make_samples, open_service

AT = "2026-11-24T09:00:00Z"


class House:
    """A service in which `first` was trained on samples of three teachers, and wrote the dataset `second`."""

    def __init__(self, service: LocalService) -> None:
        self.service = service
        self.student = str(service.get("/api/v1/students")["students"][0]["id"])
        self.release = service.get("/api/v1/releases/tutor@1")
        self.first = "mdl_run_1"
        self.ann, self.ben = service.as_role("compliance"), service.as_role("compliance")

    def train(self, run: str, release: str, name: str, base: str | None = None) -> str:
        """Log a run and its model as if they had been trained; the answer is the model's id."""
        return log_training(self.service, self.student, run, release, name, base=base)

    def open(self, source: dict[str, Any], *, expect: int = 201, **more: Any) -> Any:
        body = {"source": source, "reason": "it copied a book", **more}
        return self.service.post("/api/v1/recalls", body, expect=expect, headers=self.ann)

    def plan(self, source: dict[str, Any], *, expect: int = 200) -> Any:
        return self.service.post("/api/v1/recalls/preview", {"source": source}, expect=expect)


def log_training(
    service: LocalService, student: str, run: str, release: str, name: str, *, base: str | None = None
) -> str:
    """Log a run and its model as if they had been trained; the answer is the model's id."""
    model, append = f"mdl_{run}", service.runtime.append
    said = {"id": run, "release": release, "student": student, "recipe": "sft", "at": AT, "base_model": base}
    append("run", {**said, "phase": "plan"})
    append("run", {**said, "phase": "start"})
    append("model", {
        "id": model, "provider": "acme", "name": name, "revision": run, "weights_digest": None, "kind": "trained",
        "license": None, "parents": [base] if base else [], "run": run, "conditions": [],
    })  # fmt: skip
    append("run", {**said, "phase": "end", "model": model})
    return model


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a house; copy it."""
    data_dir = tmp_path_factory.mktemp("house") / "data"
    with open_service(data_dir) as service:
        service.capture(make_samples())
        student = service.declare()
        release = service.release(student, "tutor")
        log_training(service, student, "run_1", release["id"], "tutor-1")
        teacher = {"provider": "acme", "model": "tutor-1", "route": "weights"}
        service.capture([make_sample(number, teacher, dataset="second") for number in range(30)])
    return data_dir


@pytest.fixture
def house(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr("provenance.jobs.courier.LOOK_SECONDS", 3600.0)  # these tests empty the outbox themselves
    shutil.copytree(built, tmp_path / "data")
    with open_service(tmp_path / "data") as service:
        yield House(service)
