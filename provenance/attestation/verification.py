"""The outcome of checking evidence: numbered steps, how they are run, and how they read on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provenance.errors import ProvenanceError

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


class Nothing(Exception):  # noqa: N818  # no error: a step found nothing of its kind
    """There is nothing of its kind in this evidence, or an earlier failure leaves the step without ground."""


def run_steps(titles: Sequence[str], checks: Sequence[Callable[[], list[str]]]) -> Iterator[Step]:
    """Run the checks in order; one that fails hides no other. Each answers its notes, or raises what is wrong."""
    for number, (title, check) in enumerate(zip(titles, checks, strict=True), 1):
        try:
            yield Step(number, title, OK, tuple(check()))
        except Nothing as exc:
            yield Step(number, title, SKIPPED, (str(exc),))
        except ProvenanceError as exc:
            yield Step(number, title, FAILED, (), exc.detail)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:  # a predicate of an unforeseen form
            yield Step(number, title, FAILED, (), f"malformed: {exc}")


def fail_first(titles: Sequence[str], error: str) -> Iterator[Step]:
    """The steps where the first one failed and the others have nothing to stand on."""
    yield Step(1, titles[0], FAILED, (), error)
    yield from (Step(number, title, SKIPPED, ("step 1 failed",)) for number, title in enumerate(titles[1:], 2))


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
