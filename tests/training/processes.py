"""Run training processes in tests and look at what they did."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.training import local
from provenance.training.backend import Status

PATIENCE_SECONDS = 240


def wait(handle: local.Handle, output: Path, until: Callable[[], bool] = lambda: False) -> Status:
    """The status once the process has ended, or `until` says so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status = local.poll(handle, output)
        if status.state != "running" or until():
            return status
        time.sleep(0.05)
    local.kill(handle)
    pytest.fail(f"the run did not end: {(output / local.LOG).read_text()[-2000:]}")


def run(plan: Path, output: Path) -> Status:
    """Run a plan to its end."""
    return wait(local.start_process(plan), output)


def finish(plan: Path, output: Path) -> dict[str, Any]:
    """Run a plan that must come to a model; the answer is its result."""
    status = run(plan, output)
    assert status.state == "finished", (output / local.LOG).read_text()[-3000:]
    assert status.result is not None
    return dict(status.result)


def events(output: Path, name: str | None = None) -> list[dict[str, Any]]:
    """What the process told so far, or the events of one kind."""
    path = output / local.EVENTS
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if name in {None, event["event"]}]


def kill_at_step(plan: Path, output: Path, step: int) -> None:
    """Start a plan and kill it, without notice, once it has told of a step."""
    handle = local.start_process(plan)
    wait(handle, output, lambda: any(event["step"] >= step for event in events(output, "step")))
    local.kill(handle)
    assert local.poll(handle, output).state in {"running", "lost"}
