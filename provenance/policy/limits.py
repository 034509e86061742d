"""Conditions on who the developer is and what the student is for: use, size, services, places."""

from __future__ import annotations

from collections.abc import Sequence

from provenance.policy.situation import MET, NOT_TRIGGERED, UNMET, Situation, State, is_distributed, when_distributed
from provenance.policy.student import Student
from provenance.terms.document import Condition, Document
from provenance.terms.match import matches
from provenance.terms.places import WORLD, expand_places, overlapping_places

ASSISTANT_PURPOSES = frozenset({"general-assistant", "code-assistant", "agent"})


def judge_use(_: Document, __: Condition, situation: Situation) -> State:
    """A limit to non-commercial use: research is inside, commerce outside, the inside of a company is open."""
    use = situation.student.use
    if use is None:
        return State("unknown", ("use",))
    return {"commercial": UNMET, "research": MET}.get(use, State("unknown"))


def judge_threshold(_: Document, condition: Condition, situation: Situation) -> State:
    """A licence that is needed above a size; some texts count commercial products only."""
    use = situation.student.use
    commercial_only = bool(condition.details.get("commercial_only"))
    if commercial_only and use is not None and use != "commercial":
        return NOT_TRIGGERED
    above = judge_size(condition, situation.student)
    needs = (*(("use",) if commercial_only and use is None and above.status != "not-triggered" else ()), *above.needs)
    return State("unknown", tuple(needs)) if needs else above


def judge_size(condition: Condition, student: Student) -> State:
    """Whether any threshold of the condition is passed: unmet above, not triggered at or below, unknown between."""
    monthly = None if student.annual_revenue_usd is None else student.annual_revenue_usd / 12
    values: Sequence[tuple[str, float | None, str]] = (
        ("threshold_mau", student.monthly_active_users, "monthly_active_users"),
        ("threshold_monthly_revenue_usd", monthly, "annual_revenue_usd"),
        ("threshold_annual_recurring_revenue_usd", student.annual_revenue_usd, "annual_revenue_usd"),
        ("threshold_annual_revenue_usd", student.annual_revenue_usd, "annual_revenue_usd"),
        ("threshold_revenue_usd_12m", student.annual_revenue_usd, "annual_revenue_usd"),
    )
    asked = [(condition.details[key], value, fact) for key, value, fact in values if key in condition.details]
    if not asked or any(value is not None and value > limit for limit, value, _ in asked):
        return UNMET
    needs = tuple(dict.fromkeys(fact for _, value, fact in asked if value is None))
    return State("unknown", needs) if needs else NOT_TRIGGERED


def judge_service(_: Document, condition: Condition, situation: Situation) -> State:
    """A separate licence for model-as-a-service, and for some texts assistant, businesses before commercial use."""
    student = situation.student
    distributed = is_distributed(situation)
    if student.use not in (None, "commercial") or distributed is False:
        return NOT_TRIGGERED
    serves = _serves(condition, situation)
    above = judge_size(condition, student)
    if serves.status == "not-triggered" or above.status == "not-triggered":
        return NOT_TRIGGERED
    told = (("use", student.use), ("distribution", distributed))
    missing = (name for name, value in told if value is None)
    needs = tuple(dict.fromkeys((*missing, *serves.needs, *above.needs)))
    return State("unknown", needs) if needs else UNMET


def _serves(condition: Condition, situation: Situation) -> State:
    student = situation.student
    assistants = condition.type == "maas-or-assistant-licence"
    if student.distribution == "api" or (assistants and student.purpose in ASSISTANT_PURPOSES):
        return UNMET
    needs = (("distribution",) if student.distribution is None else ()) + (
        ("purpose",) if assistants and student.purpose is None else ()
    )
    return State("unknown", needs) if needs else NOT_TRIGGERED


def judge_registration(_: Document, __: Condition, situation: Situation) -> State:
    """A registration that commercial users need, of which no student fact tells."""
    use = situation.student.use
    if use is None:
        return State("unknown", ("use",))
    return State("unknown") if use == "commercial" else NOT_TRIGGERED


def judge_territory(_: Document, condition: Condition, situation: Situation) -> State:
    """Places where the text gives no rights: where the developer sits, where it trains, where the model is offered."""
    here = developer_excluded(condition, situation)
    if here.status in ("unmet", "unknown") or condition.details.get("models"):
        return here
    return when_distributed(lambda: _offered_outside(condition, situation.student), situation)


def _offered_outside(condition: Condition, student: Student) -> State:
    if student.territories is None:
        return State("unknown", ("territories",))
    excluded = condition.details["excluded"]
    if not overlapping_places(student.territories, excluded):
        return MET
    # All that is excluded, not what is offered of it: what is offered instead must not be excluded either.
    barred = ",".join(sorted(expand_places(excluded)))
    everywhere = bool(expand_places(student.territories) & WORLD)
    return State("unmet", (), (("territories-without", barred), ("worldwide", str(everywhere))))


def developer_excluded(condition: Condition, situation: Situation) -> State:
    """Whether the developer itself sits, or trains, where the text gives no rights at all."""
    only = condition.details.get("models")
    if only is not None and not matches(only, situation.model):
        return NOT_TRIGGERED
    barred = expand_places(condition.details["excluded"])
    student = situation.student
    if student.country in barred or (only is None and student.training_location in barred):
        return UNMET
    return State("unknown", ("developer.country",)) if student.country is None else NOT_TRIGGERED
