"""The outcome of checking evidence: numbered steps, what each checked, and how they read on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
ALWAYS_NEEDED = (1, 2, 3, 4, 8)


@dataclass(frozen=True)
class Step:
    """One check: what was checked (`notes`), and what was wrong (`error`) where it failed."""

    number: int
    title: str
    state: str
    notes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Verification:
    """The outcome; `pinned` says whether the log's key came from the verifier and not from the bundle."""

    steps: tuple[Step, ...]
    pinned: bool
    subject: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """No step failed, and none was skipped that every bundle needs."""
        needed = all(step.state == OK for step in self.steps if step.number in ALWAYS_NEEDED)
        return needed and all(step.state != FAILED for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON."""
        steps = [vars(step) | {"notes": list(step.notes)} for step in self.steps]
        return {"ok": self.ok, "pinned": self.pinned, "subject": dict(self.subject), "steps": steps}


_COLOURS = {OK: "\x1b[32m", FAILED: "\x1b[31m", SKIPPED: "\x1b[33m"}


def format_verification(outcome: Verification, *, colour: bool = False) -> str:
    """The outcome as lines for a terminal."""
    lines = []
    for step in outcome.steps:
        start, end = (_COLOURS[step.state], "\x1b[0m") if colour else ("", "")
        lines.append(f"{step.number}  {start}{step.state:<8}{end} {step.title}")
        lines.extend(f"            {note}" for note in (*step.notes, *filter(None, [step.error])))
    lines.append("")
    if not outcome.ok:
        lines.append("VERIFICATION FAILED. Keep this file, and tell whoever gave it to you.")
    elif outcome.pinned:
        lines.append("Verified, under the key that you pinned.")
    else:
        lines.append(
            "Verified, under the key that came with the bundle: it agrees with itself. To know that it is from"
        )
        lines.append("that log, compare the key with one that you got elsewhere, and give it with --policy.")
    return "\n".join(lines) + "\n"
