"""Conditions judged on the student as declared: met, unmet, unknown, or not triggered.

What attaches only to distributing the teacher's own materials is not triggered by outputs alone; it is where the
student is built on those materials (`by_family`). What binds the act of generating is shown, not judged here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from provenance.policy.limits import (
    judge_registration,
    judge_service,
    judge_size,
    judge_territory,
    judge_threshold,
    judge_use,
)
from provenance.policy.situation import MET, NOT_TRIGGERED, UNMET, Situation, State, when_distributed
from provenance.policy.student import Student
from provenance.policy.verdict import ConditionStatus
from provenance.terms.document import Condition, Document

PERMISSIVE_LICENCES = frozenset(
    "apache-2.0 mit mit-0 bsd-2-clause bsd-3-clause isc cc0-1.0 cc-by-4.0 cc-by-sa-4.0 unlicense 0bsd".split()
)
USE_LIMITS = frozenset({"non-commercial", "non-production", "commercial-permission"})
_READS: dict[str, tuple[str, ...]] = {
    "name-prefix": ("name", "distribution"),
    "display-notice": ("notices", "distribution", "use", "monthly_active_users", "annual_revenue_usd"),
    "licence-copy": ("notices", "distribution"),
    "notice-file": ("notices", "distribution"),
    "attribution": ("notices", "distribution"),
    "use-restriction-pass-through": ("release_license", "distribution"),
    "change-notice": ("release_license", "distribution"),
    "acceptable-use": ("purpose",),
    "field-of-use": ("purpose",),
    "mau-threshold": ("monthly_active_users", "use"),
    "revenue-threshold": ("annual_revenue_usd", "use"),
    "maas-agreement": ("distribution", "use", "annual_revenue_usd"),
    "maas-security-review": ("distribution", "use", "annual_revenue_usd"),
    "maas-or-assistant-licence": ("distribution", "purpose", "use", "annual_revenue_usd"),
    "territory-exclusion": ("territories", "developer.country", "distribution"),
    "non-commercial": ("use",),
    "non-production": ("use",),
    "commercial-permission": ("use",),
    "commercial-registration": ("use",),
}
# An agreement that covers the use is what these ask for.
LIFTED_BY_AGREEMENT = USE_LIMITS | {
    "mau-threshold", "revenue-threshold", "maas-agreement", "maas-or-assistant-licence", "maas-security-review",
    "commercial-registration", "prior-authorisation", "prior-written-authorisation",
}  # fmt: skip


def judge_conditions(document: Document, situation: Situation) -> list[ConditionStatus]:
    """The status of every condition of a document, in the document's order."""
    return [_judge(document, condition, situation) for condition in document.conditions]


def _judge(document: Document, condition: Condition, situation: Situation) -> ConditionStatus:
    state = (
        MET if situation.agreed and condition.type in LIFTED_BY_AGREEMENT else _state(document, condition, situation)
    )
    return ConditionStatus(
        type=condition.type,
        requirement=_requirement(condition),
        status=state.status,
        document=document.id,
        clause=condition.clause,
        route=document.route,
        needs=state.needs,
        fix=dict(state.fix),
        facts=_facts(condition, situation.student),
    )


def _facts(condition: Condition, student: Student) -> dict[str, Any]:
    """The facts that the status turns on, as declared, beside the document's own texts and thresholds."""
    told = {
        "name": student.name,
        "notices": None if student.notices is None else list(student.notices),
        "release_license": student.release_license,
        "use": student.use,
        "distribution": student.distribution,
        "purpose": student.purpose,
        "territories": None if student.territories is None else list(student.territories),
        "developer.country": student.country,
        "monthly_active_users": student.monthly_active_users,
        "annual_revenue_usd": student.annual_revenue_usd,
    }
    read = {name: "unknown" if told[name] is None else told[name] for name in _READS.get(condition.type, ())}
    shown = {k: v for k, v in condition.details.items() if k.startswith(("required", "threshold", "excluded"))}
    return {**read, **shown, "verified": condition.verified}


def _state(document: Document, condition: Condition, situation: Situation) -> State:
    if condition.attaches_to in ("conduct", "base") or condition.type == "modified-files-notice":
        return NOT_TRIGGERED
    if condition.attaches_to == "bar":
        return UNMET if situation.bar_hits else NOT_TRIGGERED
    of_materials = condition.attaches_to == "materials"
    judge = _JUDGES.get(condition.type)
    if judge is None or (of_materials and situation.by_family is False):
        return NOT_TRIGGERED
    state = judge(document, condition, situation)
    if of_materials and situation.by_family is None and state.status not in ("met", "not-triggered"):
        return State("unknown", ("base_model", *state.needs), state.fix)
    return state


def _requirement(condition: Condition) -> str:
    details = condition.details
    if condition.type == "name-prefix":
        return f'Begin the model\'s name with "{details["required_prefix"]}": {condition.paraphrase}'
    wanted = details.get("required_text_any") or ([details["required_text"]] if "required_text" in details else [])
    if wanted:
        shown = " or ".join(f'"{text}"' for text in wanted)
        return f"Show {shown}: {condition.paraphrase}"
    return condition.paraphrase[:1].upper() + condition.paraphrase[1:]


def _name_prefix(_: Document, condition: Condition, situation: Situation) -> State:
    prefix = condition.details["required_prefix"]

    def judge() -> State:
        name = situation.student.name
        fix = (("prefix", prefix),)
        if name is None:
            return State("unknown", ("name",), fix)
        if has_prefix(name, prefix):
            return MET
        return State("unknown" if condition.attaches_to == "unclear" else "unmet", (), fix)

    return when_distributed(judge, situation)


def has_prefix(name: str, prefix: str) -> bool:
    """Whether a model's name begins as asked, whatever the case and the separators; an organisation before it is cut."""
    own = name.rsplit("/", 1)[-1]
    return _squeeze(own).startswith(_squeeze(prefix))


def _squeeze(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().lower())


def _display_notice(document: Document, condition: Condition, situation: Situation) -> State:
    def judge() -> State:
        shown = _shows(document, condition, situation)
        if shown.status == "unmet" and condition.attaches_to == "unclear":
            return State("unknown", (), shown.fix)
        return shown

    state = when_distributed(judge, situation)
    if condition.attaches_to != "product" or state.status == "not-triggered":
        return state
    return _in_product(condition, situation, state)


def _in_product(condition: Condition, situation: Situation, state: State) -> State:
    """A duty of commercial products, often above a threshold only."""
    use = situation.student.use
    if use is not None and use != "commercial":
        return NOT_TRIGGERED
    above = judge_size(condition, situation.student)
    if above.status == "not-triggered" or state.status == "met":
        return above if above.status == "not-triggered" else state
    needs = tuple(dict.fromkeys((*(("use",) if use is None else ()), *above.needs, *state.needs)))
    return State("unknown", needs, state.fix) if needs else state


def _shows(document: Document, condition: Condition, situation: Situation) -> State:
    details = condition.details
    wanted = details.get("required_text_any") or [details.get("required_text") or family_word(document)]
    notices = situation.student.notices
    fix = (("notice", wanted[0]),)
    if notices is None:
        return State("unknown", ("notices",), fix)
    held = [_squeeze(notice) for notice in notices]
    return MET if any(_squeeze(text) in notice for text in wanted for notice in held) else State("unmet", (), fix)


def family_word(document: Document) -> str:
    """The word by which a family of models is known, for example `gemma`: the letters that its first pattern begins with."""
    first = document.models[0].removeprefix("meta-") if document.models else ""
    found = re.match(r"[a-z]+", first)
    return found.group() if found else document.provider


def _papers(document: Document, condition: Condition, situation: Situation) -> State:
    """Licence copies, notice files and credits that travel with a derivative: a notice that names the family's terms."""
    if situation.student.distribution in condition.details.get("except_distribution", ()):
        return NOT_TRIGGERED

    def judge() -> State:
        notices = situation.student.notices
        word = family_word(document)
        text = f"{document.title}: this model was made with outputs of {word}; a copy of the licence terms is included"
        fix = (("notice", text),)
        if notices is None:
            return State("unknown", ("notices",), fix)
        named = any(word in n.lower() and re.search(r"licen[cs]e|terms|notice", n.lower()) for n in notices)
        return MET if named else State("unmet", (), fix)

    return when_distributed(judge, situation)


def _pass_through(document: Document, _: Condition, situation: Situation) -> State:
    """Use restrictions that must bind later users: a permissive release licence cannot carry them."""

    def judge() -> State:
        licence = situation.student.release_license
        if licence is None:
            return State("unknown", ("release_license",), (("licence", document.spdx or document.title),))
        word = family_word(document)
        if word in licence.lower() or licence in (document.spdx, document.id):
            return MET
        fix = (("licence", document.spdx or document.title),)
        return State("unmet" if licence.lower() in PERMISSIVE_LICENCES else "unknown", (), fix)

    return when_distributed(judge, situation)


def _acceptable_use(_: Document, __: Condition, situation: Situation) -> State:
    """Barred fields of use, none of which is among the declared purposes, unless the purpose is not told."""

    def judge() -> State:
        told = situation.student.purpose not in (None, "other")
        return MET if told else State("unknown", ("purpose",))

    return when_distributed(judge, situation)


_JUDGES: dict[str, Callable[[Document, Condition, Situation], State]] = {
    "name-prefix": _name_prefix,
    "display-notice": _display_notice,
    "licence-copy": _papers,
    "notice-file": _papers,
    "attribution": _papers,
    "use-restriction-pass-through": _pass_through,
    "change-notice": _pass_through,
    "acceptable-use": _acceptable_use,
    "field-of-use": _acceptable_use,
    "non-commercial": judge_use,
    "non-production": judge_use,
    "commercial-permission": judge_use,
    "mau-threshold": judge_threshold,
    "revenue-threshold": judge_threshold,
    "maas-agreement": judge_service,
    "maas-security-review": judge_service,
    "maas-or-assistant-licence": judge_service,
    "commercial-registration": judge_registration,
    "territory-exclusion": judge_territory,
}
JUDGED = frozenset({*_JUDGES, "prior-authorisation", "prior-written-authorisation"})
