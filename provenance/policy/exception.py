"""An exception: named rules set aside for one student, in a stated scope, until a day, by two people who did not ask for it.

What the log holds are steps (`request`, `approve`, `refuse`, `revoke`) that share an id; `fold_exception` makes one value of
them and is the only judge of what they amount to. A step that was not allowed counts for nothing, also where two services
logged it at the same moment.

- Only an exception that is active on the day, and whose whole scope the use lies in, lifts anything.
- It lifts what it names: a rule of the packs, never all. Two things cannot be lifted, whoever signs: a rule whose `@route`
  is `statute` (export control, data protection: no permission of ours reaches a law), and a reason that turns on a fact
  that is not known (state the fact; unknown is never permission). Errors of evaluation, the default "nothing permits this"
  and "the documents of that day differ" are no rules of a pack, so nobody can name them. `@route` in the packs is the
  one mark that counsel reads and changes.
- What it lifts stays in the answer, marked `lifted_by`; the verdict is `allow-with-conditions` at best.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from provenance.attestation.facts import teacher_name
from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import ConflictError, FieldError, ForbiddenError
from provenance.policy.pack import Rule
from provenance.policy.verdict import ConditionStatus
from provenance.store.people import same_person
from provenance.terms.days import parse_day

State = Literal["requested", "active", "expired", "refused", "revoked"]
Step = Literal["approve", "refuse", "revoke"]
APPROVALS_NEEDED = 2
UNLIFTABLE_ROUTES = frozenset({"statute"})


@dataclass(frozen=True)
class Approval:
    """Who approved, and on which day."""

    approver: str
    day: dt.date


@dataclass(frozen=True)
class Use:
    """What is asked for, as far as a scope can name it; None is "not known" and lies in no scope that names it."""

    action: str
    student: str
    teacher: str
    dataset: str | None
    fact_class: str | None
    day: dt.date | None


@dataclass(frozen=True)
class PolicyException:
    """One exception as its steps leave it. `student` is the digest of the declared facts: other facts are another student."""

    id: str
    reason: str
    rules: frozenset[str]
    actions: frozenset[str]
    student: str
    dataset: str | None
    fact_classes: frozenset[str] | None
    teacher: str | None
    expires_on: dt.date
    requester: str
    approvals: tuple[Approval, ...] = ()
    ended: Literal["refused", "revoked"] | None = None

    def state(self, day: dt.date) -> State:
        """What it is on `day`, by the steps that are known."""
        if self.ended is not None:
            return self.ended
        if day > self.expires_on:
            return "expired"
        return "active" if len(self.approvals) >= APPROVALS_NEEDED else "requested"

    def covers(self, use: Use) -> bool:
        """Whether it is active on the day of the use and every part of its scope names it."""
        if use.day is None or self.state(use.day) != "active" or use.day < self.approvals[-1].day:
            return False
        return (
            use.action in self.actions
            and use.student == self.student
            and (self.dataset is None or use.dataset == self.dataset)
            and (self.fact_classes is None or use.fact_class in self.fact_classes)
            and (self.teacher is None or use.teacher == self.teacher)
        )

    def condition(self) -> ConditionStatus:
        """What every answer that used it carries."""
        until = f"{self.reason} (until {self.expires_on})"
        return ConditionStatus("exception", until, "met", document=self.id, clause=None, route="policy")


def is_liftable(rule: Rule) -> bool:
    """Whether an exception may name the rule: it bars or holds back, and not by a statute."""
    return rule.effect != "permit" and rule.route not in UNLIFTABLE_ROUTES


def student_digest(facts: Mapping[str, Any]) -> str:
    """The digest by which a scope names a student: that of its declaration."""
    return sha256_digest(canonical_bytes(dict(facts)))


def list_covering(
    exceptions: Sequence[PolicyException],
    facts: Mapping[str, Any],
    student: Mapping[str, Any],
    action: str,
    *,
    dataset: str | None,
    fact_class: str | None = None,
    day: dt.date | None,
) -> list[PolicyException]:
    """Those of the exceptions that cover samples with these facts, for this student, action and day."""
    if not exceptions:
        return []
    use = Use(action, student_digest(student), teacher_name(facts), dataset, fact_class, day)
    return [exception for exception in exceptions if exception.covers(use)]


def fold_exception(steps: Sequence[Mapping[str, Any]]) -> PolicyException:
    """The exception that its steps, in the order of the log, amount to; the first is the request."""
    folded = _open(steps[0])
    for step in steps[1:]:
        if find_objection(folded, step["step"], step["actor"], parse_day(step["at"])) is None:
            folded = _apply(folded, step)
    return folded


def find_objection(held: PolicyException, step: str, actor: str, day: dt.date) -> ConflictError | ForbiddenError | None:
    """Why this step may not be taken by this person on this day, or None."""
    state = held.state(day)
    possible = {"approve": {"requested"}, "refuse": {"requested"}, "revoke": {"requested", "active"}}.get(step, set())
    if state not in possible:
        expected = f"an exception that is {' or '.join(sorted(possible)) or 'of a known step'}"
        return ConflictError(
            f"exception {held.id} is {state}: it cannot be {step}d", FieldError("state", state, expected)
        )
    if step != "approve":
        return None
    if same_person(actor, held.requester):
        expected = f"somebody other than {held.requester}, who asked for it"
        return ForbiddenError(f"{actor} asked for exception {held.id} and cannot approve it; expected {expected}")
    if any(same_person(actor, approval.approver) for approval in held.approvals):
        expected = f"somebody other than {actor}"
        return ConflictError(
            f"{actor} has approved exception {held.id} already; the second approval is {expected}'s",
            FieldError("approver", actor, expected),
        )
    return None


def _open(request: Mapping[str, Any]) -> PolicyException:
    scope = request["scope"]
    classes = scope["fact_classes"]
    return PolicyException(
        id=request["id"],
        reason=request["reason"],
        rules=frozenset(scope["rules"]),
        actions=frozenset(scope["actions"]),
        student=scope["student"]["digest"],
        dataset=scope["dataset"],
        fact_classes=None if classes is None else frozenset(classes),
        teacher=scope["teacher"],
        expires_on=parse_day(request["expires_on"]),
        requester=request["actor"],
    )


def _apply(held: PolicyException, step: Mapping[str, Any]) -> PolicyException:
    if step["step"] == "approve":
        return replace(held, approvals=(*held.approvals, Approval(step["actor"], parse_day(step["at"]))))
    return replace(held, ended="refused" if step["step"] == "refuse" else "revoked")
