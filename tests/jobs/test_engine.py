from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import MalformedError
from provenance.jobs.engine import StoppingError, engine
from provenance.jobs.workflows import WORKFLOWS
from provenance.store.jobs import create_job, get_job
from provenance.store.session import read_session, write_session
from tests.service import LocalService, make_samples, open_service


def job_of(service: LocalService, identifier: str) -> Any:
    with read_session(service.runtime.engine) as session:
        return get_job(session, identifier).model_dump()


def add_job(service: LocalService, identifier: str, kind: str, request: dict[str, Any]) -> None:
    with write_session(service.runtime.engine) as session:
        create_job(session, identifier=identifier, kind=kind, request=request, now="2026-11-24T10:00:00Z")


def test_the_service_starts_and_stops_again_and_again_in_one_process(tmp_path: Path) -> None:
    sizes = set()
    for number in range(3):
        with open_service(tmp_path / "data") as service:
            if number == 0:
                service.capture(make_samples(apache=3, openai=1, llama=0))
                assert service.release(service.declare(), "r")["state"] == "partial"
            sizes.add(service.log_size())
            assert service.get("/api/v1/releases/r@1")["version"] == 1
    assert len(sizes) == 1
    assert not [thread.name for thread in threading.enumerate() if thread.name in {"sequencer", "publisher"}]


def test_a_job_that_was_accepted_before_a_crash_is_begun_at_the_next_launch(tmp_path: Path) -> None:
    with open_service(tmp_path / "data") as service:
        service.capture(make_samples(apache=3, openai=0, llama=0))
        student = service.declare()
        request = {"dataset": "mixed", "selection": {}, "student": student, "name": "late", "version": 1}
        add_job(service, "rel_late", "release", request)  # the row is there; the workflow was never started
        assert service.get("/api/v1/releases/rel_late")["state"] == "building"
    with open_service(tmp_path / "data") as service:
        assert service.wait("/api/v1/releases/rel_late")["state"] == "allowed"


def test_starting_a_job_twice_does_its_work_once(service: LocalService) -> None:
    student = service.get("/api/v1/students/acme-tutor")["id"]
    request = {"dataset": "mixed", "selection": {}, "student": student, "name": "twice", "version": 1}
    add_job(service, "rel_twice", "release", request)
    for _ in range(3):
        engine.start("release", "rel_twice")
    assert service.wait("/api/v1/releases/rel_twice")["state"] == "partial"
    size = service.log_size()
    engine.start("release", "rel_twice")
    time.sleep(0.2)
    assert service.log_size() == size


def test_what_goes_wrong_in_a_job_is_its_answer(service: LocalService) -> None:
    request = {"dataset": "nothing", "selection": {}, "student": "acme-tutor", "name": "gone", "version": 1}
    add_job(service, "rel_gone", "release", request)
    engine.start("release", "rel_gone")
    said = service.wait("/api/v1/releases/rel_gone")
    assert (said["state"], said["error"]["code"]) == ("failed", "not-found")
    assert said["error"]["errors"][0]["value"] == "nothing"
    assert service.get("/api/v1/releases/gone@1")["id"] == "rel_gone"


@pytest.mark.parametrize("exc", [MalformedError("x: expected y"), ValueError("boom")])
def test_a_failure_ends_the_job_and_a_stop_does_not(service: LocalService, exc: Exception) -> None:
    identifier = f"rel_{type(exc).__name__.lower()}"
    add_job(service, identifier, "none", {})

    def fail() -> None:
        raise exc

    with engine.job(identifier):
        fail()
    said = job_of(service, identifier)
    assert (said["state"], said["error"]["code"]) == ("failed", getattr(exc, "code", "provenance-error"))
    assert str(exc) in said["error"]["detail"]
    add_job(service, f"{identifier}_2", "none", {})
    with pytest.raises(StoppingError), engine.job(f"{identifier}_2"):
        raise StoppingError
    assert job_of(service, f"{identifier}_2")["state"] == "queued"


def test_progress_is_written_at_most_twice_a_second_and_merged(service: LocalService) -> None:
    add_job(service, "rel_progress", "none", {})
    engine.update("rel_progress", progress={"step": "freeze"})
    report = engine.reporter("rel_progress")
    for done in range(100):
        report({"done": done})
    assert job_of(service, "rel_progress")["progress"] == {"step": "freeze", "done": 0}


def test_an_engine_that_was_closed_stops_whoever_asks_it() -> None:
    with pytest.raises(StoppingError):
        _ = type(engine)().runtime


def test_every_kind_of_job_has_its_workflow() -> None:
    assert set(WORKFLOWS) == {"erasure", "recall", "release", "report", "run"}
