"""What a condition is judged in, and what a judgement says: shared by `conditions` and `limits`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provenance.policy.student import Student
from provenance.policy.verdict import Status


@dataclass(frozen=True)
class Situation:
    """What the statuses are judged in: the student, the act, the teacher's model, and how the document permits.

    `by_family`: the student is built on the teacher's own materials; None where its base is not known.
    """

    student: Student
    action: str
    model: str
    by_family: bool | None = False
    bar_hits: bool = False
    agreed: bool = False


@dataclass(frozen=True)
class State:
    """A status, the unknown facts that it turns on, and what would mend it."""

    status: Status
    needs: tuple[str, ...] = ()
    fix: tuple[tuple[str, str], ...] = ()


NOT_TRIGGERED = State("not-triggered")
MET = State("met")
UNMET = State("unmet")


def is_distributed(situation: Situation) -> bool | None:
    """Whether the student is or will be distributed or offered; publishing is distribution whatever was declared."""
    if situation.action == "publish":
        return True
    distribution = situation.student.distribution
    return None if distribution is None else distribution != "none"


def when_distributed(judge: Callable[[], State], situation: Situation) -> State:
    """A duty of whoever distributes; with an unknown distribution a duty that is not met is unknown."""
    distributed = is_distributed(situation)
    if distributed is False:
        return NOT_TRIGGERED
    state = judge()
    if distributed is None and state.status not in ("met", "not-triggered"):
        return State("unknown", tuple(dict.fromkeys(("distribution", *state.needs))), state.fix)
    return state
