"""A recall: something turned out tainted; what it reached is frozen, held back, and dealt with act by act, until two people
agree that it is over.

What the log holds are steps (`open`, `act`, `close`) that share an id; `fold_recall` makes one value of them and is the only
judge of what they amount to. A step that was not allowed counts for nothing, also where two services logged it at one moment.

- Stopping takes one person, going on takes two: from `open` on everything in the reach is held back; `close` is somebody
  else's step.
- `close` with the outcome `upheld` needs every act settled, and what was held back stays so. `lifted` (a false alarm) ends
  the holding back, with whatever is open.
- An act is settled when it is `done` or `waived`; who opened the recall cannot waive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from provenance.errors import ConflictError, FieldError, ForbiddenError, MalformedError, NotFoundError
from provenance.store.people import same_person

State = Literal["open", "upheld", "lifted"]
RESULTS = ("done", "waived", "failed")
OUTCOMES = ("upheld", "lifted")
SETTLED = frozenset({"done", "waived"})
MAX_REASON = 2000


@dataclass(frozen=True)
class Act:
    """One thing to do about one thing that was reached: `id` is `kind:target`."""

    id: str
    kind: str
    target: str
    text: str
    state: str = "open"
    actor: str | None = None
    at: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Recall:
    """One recall as its steps leave it."""

    id: str
    source: Mapping[str, Any]
    reason: str
    opened_by: str
    opened_at: str
    log_size: int
    state: State = "open"
    acts: Mapping[str, Act] = field(default_factory=dict)
    closed_by: str | None = None
    closed_at: str | None = None
    closing_reason: str | None = None

    @property
    def holds(self) -> bool:
        """Whether what it reached is held back."""
        return self.state != "lifted"

    @property
    def unsettled(self) -> list[Act]:
        """The acts that nobody has settled, in their order."""
        return [act for act in self.acts.values() if act.state not in SETTLED]


def fold_recall(steps: Sequence[Mapping[str, Any]], acts: Sequence[Act]) -> Recall:
    """The recall that its steps, in the order of the log, amount to; `acts` follow from its frozen reach."""
    first = steps[0]
    held = Recall(
        id=first["id"],
        source=first["source"],
        reason=first["reason"],
        opened_by=first["actor"],
        opened_at=first["at"],
        log_size=first["log_size"],
        acts={act.id: act for act in acts},
    )
    for step in steps[1:]:
        if find_objection(held, step) is None:
            held = _apply(held, step)
    return held


def find_objection(held: Recall, step: Mapping[str, Any]) -> Exception | None:
    """Why this step may not be taken, or None."""
    if held.state != "open":
        problem = FieldError("recall", held.state, "a recall that is open")
        return ConflictError(f"recall {held.id} was closed by {held.closed_by}: it is {held.state}", problem)
    if step["step"] == "act":
        return _object_to_act(held, step)
    if step["step"] == "close":
        return _object_to_close(held, step)
    return ConflictError(f"recall {held.id} was opened before", FieldError("step", step["step"], "act or close"))


def _object_to_act(held: Recall, step: Mapping[str, Any]) -> Exception | None:
    act = held.acts.get(step["act"])
    if act is None:
        return NotFoundError(
            f"recall {held.id} has no act {step['act']!r}", FieldError("act", step["act"], "an act of this recall")
        )
    if act.state in SETTLED:
        problem = FieldError("act", act.state, "an act that is open")
        return ConflictError(f"act {act.id} is {act.state} since {act.at}, by {act.actor}", problem)
    if step["result"] == "waived" and same_person(step["actor"], held.opened_by):
        return ForbiddenError(f"{step['actor']} opened recall {held.id} and cannot waive its acts; another person may")
    return None


def _object_to_close(held: Recall, step: Mapping[str, Any]) -> Exception | None:
    if same_person(step["actor"], held.opened_by):
        return ForbiddenError(f"{step['actor']} opened recall {held.id}; another person closes it")
    if step["outcome"] == "upheld" and held.unsettled:
        named = ", ".join(act.id for act in held.unsettled[:3])
        expected = "no act that is open"
        return ConflictError(
            f"recall {held.id} has {len(held.unsettled)} acts that are not settled, such as {named}",
            FieldError("acts", len(held.unsettled), expected),
        )
    return None


def _apply(held: Recall, step: Mapping[str, Any]) -> Recall:
    if step["step"] == "close":
        said = {"closed_by": step["actor"], "closed_at": step["at"], "closing_reason": step["reason"]}
        return replace(held, state=step["outcome"], **said)
    act = replace(
        held.acts[step["act"]], state=step["result"], actor=step["actor"], at=step["at"], note=step.get("note")
    )
    return replace(held, acts={**held.acts, act.id: act})


def check_reason(reason: Any, field: str = "reason") -> str:
    """A reason that says something and fits into an entry.

    Raises:
        MalformedError: it is empty, too long, or no text.
    """
    expected = f"why, 1 to {MAX_REASON:,} characters"
    if not isinstance(reason, str) or not reason.strip() or len(reason) > MAX_REASON:
        raise MalformedError(f"{field}: expected {expected}", FieldError(field, reason, expected))
    return reason
