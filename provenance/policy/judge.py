"""Judge one sample for one student under every candidate that may bind: facts to rules, rules to one outcome.

The order to read: `judge` (every candidate) -> `_evaluate` (one set of candidates) -> `_speak` (what exceptions lift)
-> `_merge`. Exceptions are applied last, to reasons that the rules have given: what they lift is seen, and nothing else is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any

from provenance.lineage.inherited import NOTHING, Inheritance
from provenance.policy.binding import bind_sample
from provenance.policy.exception import PolicyException, is_liftable
from provenance.policy.facts import Case, Facts, compute_facts, student_attributes
from provenance.policy.pack import Pack, Rule
from provenance.policy.student import parse_student
from provenance.policy.verdict import PERMITTING, VERDICTS, ConditionStatus, Finding, Verdict, strictest
from provenance.policy.weights import add_weights
from provenance.terms.agreement import Agreement, parse_agreement
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document
from provenance.terms.resolve import Binding, Bound

MAXIMUM_COMBINATIONS = 64
BLOCKING_ACTIONS = frozenset({"publish", "serve"})
DEFAULT_RULE = "default.no-rule-permits"
DIFFER_RULE = "terms.candidates-differ"
ERROR_RULE = "default.evaluation-error"
UNREAD_BAR_RULE = "competition.bar-not-verified"
UNENFORCED_RULE = "default.condition-without-rule"
RECALL_RULE = "recall.held-back"
# What is said without a rule of the pack.
OWN_RULES = frozenset({DEFAULT_RULE, DIFFER_RULE, ERROR_RULE, UNENFORCED_RULE, RECALL_RULE})


@dataclass
class Outcome:
    """One verdict with all that explains it."""

    verdict: Verdict
    conditions: list[ConditionStatus] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    agreements: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    approvals: list[dict[str, Any]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many conditions are not met, or may not be."""
        return sum(condition.status in ("unmet", "unknown") for condition in self.conditions)


def judge(
    sample: Mapping[str, Any],
    student: Mapping[str, Any],
    action: str,
    *,
    at: dt.date | None = None,
    terms_of: dt.date | None = None,
    agreements: Sequence[Mapping[str, Any]] = (),
    exceptions: Sequence[PolicyException] = (),
    inheritance: Inheritance = NOTHING,
    catalogue: Catalogue,
    pack: Pack,
) -> Outcome:
    """The outcome for facts that have been validated, over every candidate that may bind.

    An agreement lifts and never binds: one without which more is permitted is left out, and the texts stand. `exceptions`
    are those that cover this use (`PolicyException.covers`); the caller knows data set, class and day. `terms_of` as in `decide`.
    """
    declared = parse_student(student, catalogue)
    binding = bind_sample(sample, inheritance, declared.developer, catalogue, at=terms_of)

    def ask(offered: tuple[Agreement, ...]) -> Outcome:
        case = Case(sample=sample, student=declared, action=action, agreements=offered, at=at)
        outcomes = [
            _evaluate(case, binding, chosen, exceptions=exceptions, catalogue=catalogue, pack=pack)
            for chosen in islice(_combinations(binding), MAXIMUM_COMBINATIONS)
        ]
        return outcomes[0] if len(outcomes) == 1 else _merge(outcomes, binding)

    held = tuple(parse_agreement(agreement) for agreement in agreements)
    outcome = ask(held)
    for identifier in dict.fromkeys(outcome.agreements):
        fewer = tuple(agreement for agreement in held if agreement.id != identifier)
        without = ask(fewer)
        if VERDICTS.index(without.verdict) < VERDICTS.index(outcome.verdict):
            held, outcome = fewer, without
    return outcome


def hold_back(outcome: Outcome, recall: str) -> Outcome:
    """The same outcome where a recall holds the samples back: denied, whatever rules and exceptions say."""
    reason = _plain_reason(RECALL_RULE, f"recall {recall} holds these samples back", effect="deny")
    return replace(outcome, verdict="deny", reasons=[reason, *outcome.reasons], unknown=[], approvals=[])


def _combinations(binding: Binding) -> Iterable[tuple[tuple[Bound, Document], ...]]:
    """Every way to take one candidate of each series."""
    return product(*([(bound, document) for document in bound.choice.candidates] for bound in binding.bound))


def _evaluate(
    case: Case,
    binding: Binding,
    chosen: Sequence[tuple[Bound, Document]],
    *,
    exceptions: Sequence[PolicyException],
    catalogue: Catalogue,
    pack: Pack,
) -> Outcome:
    facts = compute_facts(case, binding, chosen, catalogue)
    add_weights(facts, case, binding, chosen, catalogue)
    outcome = Outcome("review", facts.conditions, documents=facts.documents, agreements=facts.agreements)
    evaluation = pack.evaluate(case.action, student_attributes(case.student), facts.to_cedar())
    if evaluation.error is not None:
        outcome.reasons = [_plain_reason(ERROR_RULE, f"the rules could not be evaluated: {evaluation.error}")]
        return outcome
    if not evaluation.permitted and not evaluation.rules:
        outcome.reasons = [_plain_reason(DEFAULT_RULE, "no rule permits this, and silence is not a permission")]
        return outcome
    standing = [rule for rule in evaluation.rules if not _speak(rule, facts, exceptions, outcome)]
    used = [exception for exception in exceptions if exception.id in outcome.exceptions]
    outcome.conditions.extend(exception.condition() for exception in used)
    outcome.verdict = _verdict(standing, facts, case, pack, outcome)
    outcome.unknown = list(dict.fromkeys(outcome.unknown)) if outcome.verdict == "review" else []
    if outcome.verdict in PERMITTING:
        asking = pack.ask_approval(case.action, student_attributes(case.student), facts.to_cedar(), outcome.verdict)
        outcome.approvals = [
            {name: getattr(rule, name) for name in ("id", "title", "clause", "route")} for rule in asking
        ]
    return outcome


def _speak(rule: Rule, facts: Facts, exceptions: Sequence[PolicyException], outcome: Outcome) -> bool:
    """Give the rule's reasons; the answer is whether exceptions lift every one of them."""
    findings = _findings(rule, facts)
    lifting = [_find_lift(rule, finding, exceptions) for finding in findings]
    for finding, exception in zip(findings, lifting, strict=True):
        reason = _reason(rule, finding)
        if exception is not None:
            reason["lifted_by"] = exception.id
            outcome.exceptions = list(dict.fromkeys((*outcome.exceptions, exception.id)))
        outcome.reasons.append(reason)
        if rule.effect == "review" and exception is None:
            outcome.unknown.extend(finding.needs)
    return bool(lifting) and None not in lifting


def _find_lift(rule: Rule, finding: Finding, exceptions: Sequence[PolicyException]) -> PolicyException | None:
    """The first exception that lifts this reason; see `policy.exception` for what none can lift."""
    if not is_liftable(rule) or finding.route == "statute" or finding.needs:
        return None
    return next((exception for exception in exceptions if rule.id in exception.rules), None)


def _verdict(rules: Sequence[Rule], facts: Facts, case: Case, pack: Pack, outcome: Outcome) -> Verdict:
    effects = {rule.effect for rule in rules}
    if "deny" in effects:
        return "deny"
    unenforced = {c.type for c in facts.conditions if c.status == "unmet" and c.type not in pack.enforced}
    unenforced -= {"non-commercial", "non-production", "commercial-permission"}
    if case.action in BLOCKING_ACTIONS and unenforced and "review" not in effects:
        # A condition that no rule of the pack enforces: a person has to look, it is not waved through.
        outcome.reasons.append(_plain_reason(UNENFORCED_RULE, f"no rule enforces {', '.join(sorted(unenforced))}"))
        return "review"
    if "review" in effects:
        return "review"
    return "allow-with-conditions" if any(c.triggered for c in facts.conditions) else "allow"


def _findings(rule: Rule, facts: Facts) -> list[Finding]:
    """The findings that a rule spoke of: those of its fact, or the conditions of the types that it enforces."""
    if rule.about == "unclear":
        return [_from_condition(c) for c in facts.conditions if c.status == "unknown"]
    if rule.conditions:
        return [_from_condition(c) for c in facts.conditions if c.status == "unmet" and c.type in rule.conditions]
    name, _, scan = (rule.about or "").partition(".")
    found = facts.findings.get(name, [])
    return [finding for finding in found if finding.facts["scan"] == scan] if scan else found


def _from_condition(condition: ConditionStatus) -> Finding:
    shown = {"condition": condition.type, "status": condition.status, **condition.facts}
    return Finding(condition.document, condition.clause, condition.route, condition.requirement, shown, condition.needs)


def _reason(rule: Rule, finding: Finding) -> dict[str, Any]:
    reading = f"{finding.document}, {finding.clause or 'no clause on record'}: {finding.text} (our reading)"
    return {
        "rule": rule.id,
        "effect": rule.effect,
        "document": finding.document,
        "clause": finding.clause or (None if finding.document else rule.clause),
        "route": finding.route if rule.route == "document" else rule.route,
        "text": f"{rule.title}: {reading if finding.document else finding.text}.",
        "facts": dict(finding.facts),
    }


def _plain_reason(rule: str, text: str, *, effect: str = "review") -> dict[str, Any]:
    return {
        "rule": rule,
        "effect": effect,
        "document": None,
        "clause": None,
        "route": "policy",
        "text": text,
        "facts": {},
    }


def _merge(outcomes: Sequence[Outcome], binding: Binding) -> Outcome:
    """One outcome from those of the candidates: theirs if they agree, else `review`."""
    verdicts = {outcome.verdict for outcome in outcomes}
    agreed = len(verdicts) == 1 or (binding.day is not None and "deny" in verdicts and all(map(_bars, outcomes)))
    merged = Outcome(
        verdict=strictest(verdicts) if agreed else "review",
        conditions=_unique(c for o in outcomes for c in o.conditions),
        reasons=_unique(r for o in outcomes for r in o.reasons),
        documents=list({d.id: d for o in outcomes for d in o.documents}.values()),
        agreements=list(dict.fromkeys(a for o in outcomes for a in o.agreements)),
        exceptions=list(dict.fromkeys(e for o in outcomes for e in o.exceptions)),
        approvals=_unique(a for o in outcomes for a in o.approvals),
    )
    if merged.verdict == "review":
        merged.unknown = list(dict.fromkeys(need for o in outcomes for need in o.unknown))
    if not agreed:
        needs = [need for bound in binding.bound for need in bound.choice.needs]
        merged.unknown = list(dict.fromkeys((*needs, *merged.unknown)))
        text = "the documents that may have held on that day lead to different verdicts: " + ", ".join(sorted(verdicts))
        reason = _plain_reason(DIFFER_RULE, text)
        merged.reasons.insert(0, {**reason, "facts": {"generated_at": binding.day and binding.day.isoformat()}})
    return merged


def _bars(outcome: Outcome) -> bool:
    """Whether a candidate bars the use, be it that its text was not read: then no candidate leaves the use open."""
    return outcome.verdict == "deny" or any(reason["rule"] == UNREAD_BAR_RULE for reason in outcome.reasons)


def _unique(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
