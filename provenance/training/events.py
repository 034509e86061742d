"""The run's live feed: one JSON line an event in `events.jsonl`, appended by the training process and read by everybody else.

Events: started, resumed, built, round, step, checkpoint, evaluated, finished, cancelled, failed. Each has `event` and `at`;
a resumed run repeats the steps after its checkpoint, so a reader keeps the last line of a step.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class EventLog:
    """Appends events; several ranks share one run, and only the one with `enabled` writes."""

    def __init__(self, path: Path, *, enabled: bool = True) -> None:
        self._path = path
        self._enabled = enabled
        if enabled and path.exists():
            _drop_torn_line(path)

    def write(self, event: str, **facts: Any) -> None:
        """Append one event with the time."""
        if self._enabled:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = json.dumps({"event": event, "at": now, **facts}, ensure_ascii=False, allow_nan=False)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")


def _drop_torn_line(path: Path) -> None:
    """A kill may have left half a line; what follows must not be glued to it."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end != len(data):
        with path.open("r+b") as stream:
            stream.truncate(end)
