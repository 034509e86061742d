from __future__ import annotations

from pathlib import Path

import pytest

from provenance.jobs import releases
from tests.service import make_samples, open_service

STEPS = ("decide_dataset", "freeze", "log_release")


class CrashError(BaseException):
    """What a `kill -9` is to the code: nothing after it runs, nothing catches it."""


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_after_each_step_makes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real = getattr(releases, step)
    crashed: list[str] = []

    def crash(*arguments: object, **named: object) -> None:
        real(*arguments, **named)
        crashed.append(step)
        raise CrashError

    with open_service(tmp_path / "data") as service:
        service.capture(make_samples(apache=8, openai=4, llama=0))
        student = service.declare()
        monkeypatch.setattr(releases, step, crash)
        url = service.post("/api/v1/releases", {"dataset": "mixed", "student": student, "name": "r"})["status_url"]
        while not crashed:
            service.get(url)
        assert service.get(url)["state"] == ("partial" if step == "log_release" else "building")
    monkeypatch.undo()
    with open_service(tmp_path / "data") as service:
        release = service.wait(url)
        assert (release["state"], release["counts"]["released"]) == ("partial", 8)
        size = service.log_size()
        kinds = [service.get(f"/api/v1/log/entries/{index}")["kind"] for index in range(size - 6, size)]
        assert kinds.count("decision") == kinds.count("release") == 1
