"""Watch a run from outside: wait for its slot, start it, find it again after a restart of the service, end it.

- A run that was lost (killed, out of memory, machine or node down) is started again from its last whole checkpoint, once.
- A cancel is a file that the trainer looks for at each step; one that does not look is ended by force, and so is one that
  goes on after its deadline.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provenance.errors import ProvenanceError, UnavailableError
from provenance.training import local
from provenance.training.attempt import find_begin
from provenance.training.backend import Backend, Need, Status
from provenance.training.plan import parse_plan
from provenance.training.slots import Held

CANCEL_GRACE_SECONDS = 60.0
DEADLINE_GRACE_SECONDS = 120.0
TENDED = 5  # looks at what the run waits for, between two looks at how it goes
PATIENCE_SECONDS = 600.0
"""How long a place may be out of reach before its run is given up."""
Progress = Callable[[dict[str, Any]], None]


def wait_for_slot(
    folder: Path, backend: Backend, need: Need, progress: Progress, is_next: Callable[[], bool] = lambda: True
) -> Held | None:
    """Wait for what the run needs; None when it was cancelled while it waited."""
    while not is_cancelled(folder):
        answer = backend.reserve(need) if is_next() else "the runs that were asked for before it"
        if isinstance(answer, Held):
            progress({"waits_for": None})
            return answer
        progress({"waits_for": answer})
        time.sleep(backend.poll_seconds)
    return None


def watch_run(
    folder: Path,
    progress: Progress,
    backend: Backend,
    need: Need,
    held: Held | None = None,
    *,
    tend: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Start the run, or find it again, and wait for its end; the answer is its state and result.

    A run that was lost (killed, machine down) or that ended as no service answered it is started again once, from its
    checkpoint. `tend` is called over and over while it runs.
    """
    ended = local.read_result(folder / "out")
    if ended.result is not None and ended.state != "lost":
        return _outcome(folder, backend, ended)
    status = Status("lost")
    try:
        for attempt in range(2):
            if attempt or not backend.find(folder):
                if held is None or not held.files:
                    held = wait_for_slot(folder, backend, need, progress)
                if held is None or is_cancelled(folder):  # also asked for after the slot was taken
                    status = Status("cancelled", None, "cancelled before it was started")
                    break
                _start(folder, backend, need, held, progress)
            status = _follow(folder, backend, progress, held, tend)
            progress(read_progress(folder / "out"))
            if status.state != "lost" or not status.resume or is_cancelled(folder):
                break
    except ProvenanceError as exc:  # the place will not, or cannot, go on with it: that is how the run ended
        status = Status("failed", {"state": "failed", "code": exc.code}, exc.detail)
    finally:
        if held is not None:
            held.close()
    return _outcome(folder, backend, status)


def _outcome(folder: Path, backend: Backend, status: Status) -> dict[str, Any]:
    place = backend.describe(folder)
    backend.clear(folder)
    return {"state": status.state, "result": dict(status.result or {}), "detail": status.detail, "backend": place}


def _start(folder: Path, backend: Backend, need: Need, held: Held, progress: Progress) -> None:
    """Start it; a place that does not answer is asked again for a while."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            backend.start(folder, need, held)
        except UnavailableError as exc:
            if time.monotonic() >= give_up or is_cancelled(folder):
                raise
            progress({"waits_for": exc.detail})
            time.sleep(backend.poll_seconds)
        else:
            return


def _follow(
    folder: Path, backend: Backend, progress: Progress, held: Held | None, tend: Callable[[], object]
) -> Status:
    """Poll until the run has ended by itself or must be ended."""
    begun = None
    deadline = parse_plan((folder / "plan.json").read_bytes()).deadline_seconds + DEADLINE_GRACE_SECONDS
    while (status := backend.poll(folder)).state == "running":
        progress(read_progress(folder / "out") | {"waits_for": status.detail if status.waits else None})
        if not status.waits:
            begun = begun or time.monotonic()
            if held is not None and backend.hold_seconds is not None and _since(begun) > backend.hold_seconds:
                held.close()
        if _age(folder / "out" / local.CANCEL) > CANCEL_GRACE_SECONDS:
            return _end(folder, backend, Status("cancelled", None, _forced("it was asked to stop")))
        if _age(find_begin(folder)) > deadline:
            return _end(folder, backend, Status("failed", None, _forced("its deadline")))
        for _ in range(TENDED):
            tend()
            time.sleep(backend.poll_seconds / TENDED)
    return status


def _forced(after: str) -> str:
    return f"ended by force, as it still ran some time after {after}"


def _end(folder: Path, backend: Backend, forced: Status) -> Status:
    backend.kill(folder)
    status = backend.poll(folder)  # it may have ended by itself in the same moment
    return status if status.result is not None else forced


def _since(moment: float) -> float:
    return time.monotonic() - moment


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return -1.0


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
    """Ask the process to stop at its next step; whoever watches it logs the end. Asked twice, the first time counts."""
    output = folder / "out"
    output.mkdir(parents=True, exist_ok=True)
    if not is_cancelled(folder):
        (output / local.CANCEL).touch()


def is_cancelled(folder: Path) -> bool:
    """Whether the run was asked to stop."""
    return (folder / "out" / local.CANCEL).exists()
