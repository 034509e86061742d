"""The attempt of a resumed run: a note beside the plan, where the training process cannot write it.

The note says how long the run had trained before, as the plan's deadline counts anew for each attempt; its age says how long
this one lasts already. A first attempt has none: there the plan itself is the note.
"""

from __future__ import annotations

import json
from pathlib import Path

from provenance.ledger.publish import write_file

ATTEMPT = "attempt.json"
PLAN = "plan.json"


def note_attempt(folder: Path, number: int, seconds_before: float) -> None:
    """Write the note."""
    write_file(folder / ATTEMPT, json.dumps({"attempt": number, "seconds_before": seconds_before}).encode())


def start_clock(folder: Path) -> None:
    """The attempt begins now: what it waited for its slot does not count into its deadline."""
    (folder / ATTEMPT).touch()


def find_begin(folder: Path) -> Path:
    """The file whose age is the attempt's."""
    return folder / ATTEMPT if (folder / ATTEMPT).exists() else folder / PLAN


def read_seconds_before(folder: Path) -> float:
    """How long the run had trained before this attempt."""
    try:
        return float(json.loads((folder / ATTEMPT).read_bytes())["seconds_before"])
    except FileNotFoundError:
        return 0.0
