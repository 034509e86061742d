"""What every place that can train offers: check, stage, reserve, start, poll, kill.

- State lies in the run's folder, not in the object: another service process can go on with any of these calls.
- `start` and `kill` may be repeated. A run is known by its own id, so it is never started twice.
- However a run was trained, its folder ends up the same: `out/events.jsonl`, `out/result.json`, `out/model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from provenance.training.plan import Plan
from provenance.training.slots import Held

State = Literal["running", "finished", "cancelled", "failed", "lost"]


@dataclass(frozen=True)
class Need:
    """What a run asks of a place; `gpus` 0 is a run on processors."""

    gpus: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Status:
    """What is known of a run now; `result` once it has ended by itself, `resume` whether a lost one may be started again.

    `waits` is said of a run that was handed over and has not begun, or of which nothing can be learned at present.
    """

    state: State
    result: Mapping[str, Any] | None = None
    detail: str | None = None
    waits: bool = False
    resume: bool = True


class Backend(Protocol):
    """A place that trains."""

    @property
    def name(self) -> str:
        """As a request names it."""

    @property
    def poll_seconds(self) -> float:
        """How often to look."""

    @property
    def hold_seconds(self) -> float | None:
        """How long a reservation is kept after the start; None: until the end."""

    def complete(self, need: Need) -> Need:
        """The need with what it leaves open filled in."""

    def check(self, need: Need) -> None:
        """Refuse what this place, as it is, may not be given or can never hold."""

    def place(self, plan: Plan, folder: Path) -> Plan:
        """Bring what the plan names to where the process will see it; the answer is the plan with the paths there."""

    def reserve(self, need: Need) -> Held | str:
        """Take what a run needs, or say what it waits for."""

    def find(self, folder: Path) -> bool:
        """Whether the run was started before, so that it need not be started now."""

    def start(self, folder: Path, need: Need, held: Held) -> None:
        """Start the run, from its newest whole checkpoint if there is one."""

    def poll(self, folder: Path) -> Status:
        """How the run stands."""

    def kill(self, folder: Path) -> None:
        """End everything that runs for it, at once."""

    def clear(self, folder: Path) -> None:
        """After the end: take away what lies elsewhere."""

    def describe(self, folder: Path) -> dict[str, Any]:
        """Facts about the place, for the run's statement."""
