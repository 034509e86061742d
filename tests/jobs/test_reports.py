from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provenance.jobs import reports
from provenance.verify import verify
from tests.service import open_service

STEPS = ("render_report", "log_report", "bundle_report")


class CrashError(BaseException):
    """What a `kill -9` is to the code: nothing after it runs, nothing catches it."""


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_after_each_step_makes_nothing_twice(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    shutil.copytree(world, tmp_path / "data")
    real = getattr(reports, step)
    crashed: list[str] = []

    def crash(*arguments: object, **named: object) -> None:
        real(*arguments, **named)
        crashed.append(step)
        raise CrashError

    body = {"kind": "ownership-and-legality", "subject": "tutor@1", "formats": ["json"]}
    with open_service(tmp_path / "data") as service:
        size = service.log_size()
        monkeypatch.setattr(reports, step, crash)
        url = service.post("/api/v1/reports", body)["status_url"]
        while not crashed:
            service.get(url)
        assert service.get(url)["state"] == "running"
    monkeypatch.undo()
    with open_service(tmp_path / "data") as service:
        report = service.wait(url)
        assert report["state"] == "done"
        assert service.log_size() == size + 1
        assert verify(service.data_dir / "reports" / report["id"] / "evidence.zip").ok
