"""Watch a run's process from outside: start it, find it again after a restart of the service, read its events, cancel it.

A process is known by its number and start time. One that was lost (killed, machine down) is started again from its last
whole checkpoint, once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provenance.ledger.publish import write_file
from provenance.training import local

POLL_SECONDS = 0.5
TENDED = 5  # looks at what the process waits for, between two looks at how it goes


def watch_run(
    folder: Path, progress: Callable[[dict[str, Any]], None], tend: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Start the process, or find it again, and wait for its end; the answer is its state and result.

    A process that was lost (killed, machine down) is started again once from its checkpoint, then the run is given up. So is
    one that ended because no service answered it. `tend` is called over and over while the process runs.
    """
    output = folder / "out"
    ended = local.read_result(output)
    if ended.result is not None and ended.state != "lost":
        return {"state": ended.state, "result": dict(ended.result), "detail": ended.detail}
    attempts = 0
    while True:
        handle = _find_process(folder) or _start_process(folder)
        while (status := local.poll(handle, output)).state == "running":
            progress(read_progress(output))
            for _ in range(TENDED):
                tend()
                time.sleep(POLL_SECONDS / TENDED)
        progress(read_progress(output))
        if status.state != "lost" or attempts or (output / local.CANCEL).exists():
            return {"state": status.state, "result": dict(status.result or {}), "detail": status.detail}
        attempts += 1


def _find_process(folder: Path) -> local.Handle | None:
    path = folder / "process.json"
    if not path.exists():
        return None
    said = json.loads(path.read_bytes())
    return local.reattach(said["pid"], said["start_time"], said["level"])


def _start_process(folder: Path) -> local.Handle:
    handle = local.start_process(folder / "plan.json")
    said = {"pid": handle.pid, "start_time": handle.start_time, "level": handle.level}
    write_file(folder / "process.json", json.dumps(said).encode())
    return handle


def read_events(output: Path) -> list[dict[str, Any]]:
    """The events that the process wrote so far; a torn last line is left for the next time."""
    try:
        lines = (output / local.EVENTS).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def read_progress(output: Path) -> dict[str, Any]:
    """The newest event, as progress of the job."""
    events = read_events(output)
    return {"step": events[-1]} if events else {}


def cancel_run(folder: Path) -> None:
    """Ask the process to stop at its next step; whoever watches it logs the end."""
    output = folder / "out"
    output.mkdir(parents=True, exist_ok=True)
    (output / local.CANCEL).touch()
