"""The facts that rules ask for, computed for one sample, one student and one set of candidate documents.

Python computes, Cedar decides: nothing here says allow or deny. Each fact about documents keeps its findings, so that
a decision can name document, clause, route and the values that it turned on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provenance.policy.conditions import USE_LIMITS, judge_conditions
from provenance.policy.limits import developer_excluded
from provenance.policy.reach import HITS, LEAVES_OPEN, Reading, is_built_on, read_document
from provenance.policy.record import read_record
from provenance.policy.situation import Situation
from provenance.policy.student import Student
from provenance.policy.verdict import ConditionStatus, Finding
from provenance.store.lineage import normal_name
from provenance.terms.agreement import Agreement, agreement_covers
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document
from provenance.terms.resolve import Binding, Bound, known

DOCUMENT_FACTS = (
    "permits_stated", "permits_exception", "permits_ownership", "permits_agreement", "permission_unverified",
    "no_permission", "bars_competing", "bars_any_model", "bars_distillation", "bar_unverified", "bar_unclear",
    "conflicting", "of_another", "others_account", "gap", "unmatched", "use_limits_broken", "use_limits_unclear",
    "no_rights_here", "no_rights_unclear",
)  # fmt: skip
WEIGHTS_FACTS = ("weights_not_held", "weights_no_permission")  # of action `distill` alone
OWN_FACTS = (
    "own_model",
)  # of teachers that were trained here alone, so that a pack of before them stands for all others
_STANCE_FACTS = {
    "permits-stated": "permits_stated",
    "permits-exception": "permits_exception",
    "permits-ownership": "permits_ownership",
    "permission-unverified": "permission_unverified",
    "no-permission": "no_permission",
    "bars-competing": "bars_competing",
    "bars-any-model": "bars_any_model",
    "bars-distillation": "bars_distillation",
    "bar-unverified": "bar_unverified",
    "bar-unclear": "bar_unclear",
}


_Read = tuple[Bound, Reading]


@dataclass(frozen=True)
class Case:
    """One question: a sample's facts, the student, the action, agreements, and the day of the decision where given."""

    sample: Mapping[str, Any]
    student: Student
    action: str
    agreements: tuple[Agreement, ...]
    at: dt.date | None


@dataclass
class Facts:
    """What was found: findings by name of fact, conditions, and the plain values of the class."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    conditions: list[ConditionStatus] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    scans: list[str] = field(default_factory=list)
    agreements: list[str] = field(default_factory=list)

    def add(self, name: str, finding: Finding) -> None:
        """Put a finding under a name of fact, once."""
        held = self.findings.setdefault(name, [])
        if finding not in held:
            held.append(finding)

    def to_cedar(self) -> dict[str, Any]:
        """The attributes of the fact class, as the Cedar schema types them."""
        asked = [name for name in (*WEIGHTS_FACTS, *OWN_FACTS) if name in self.findings]
        sets = {name: _labels(self.findings.get(name, ())) for name in (*DOCUMENT_FACTS, *asked)}
        by_status = {
            "unmet": sorted({c.type for c in self.conditions if c.status == "unmet"}),
            "unclear": sorted({c.type for c in self.conditions if c.status == "unknown"}),
        }
        documents = sorted({document.id for document in self.documents})
        return {**self.values, **sets, **by_status, "documents": documents, "scans": sorted(self.scans)}


def _labels(findings: Iterable[Finding]) -> list[str]:
    return sorted({finding.document or str(finding.facts.get("kind", "record")) for finding in findings})


def student_attributes(student: Student) -> dict[str, Any]:
    """The attributes of the student, as the Cedar schema types them."""
    return {
        "use": student.use or "unknown",
        "distribution": student.distribution or "unknown",
        "export_concern": student.export_concern,
        "controlled_hardware": student.controlled_hardware,
    }


def compute_facts(
    case: Case, binding: Binding, chosen: Sequence[tuple[Bound, Document]], catalogue: Catalogue
) -> Facts:
    """The facts of a case if exactly the chosen candidates bind."""
    facts = Facts(documents=list({document.id: document for _, document in chosen}.values()))
    _add_unmatched(facts, case, binding, catalogue)
    readings = _read_all(facts, case, binding, chosen, catalogue)
    _add_readings(facts, case, readings)
    _add_gaps(facts, case, binding, chosen, catalogue)
    _add_record(facts, case, binding)
    _add_own_model(facts, case, binding, catalogue)
    return facts


def find_agreement(
    case: Case, binding: Binding, provider: str, catalogue: Catalogue, *, origin: str | None = None
) -> Agreement | None:
    """The first agreement with this provider that names the use, in the order given; of what was inherited it may name
    the model of its `origin` as well as the teacher.
    """
    student = case.student
    for agreement in case.agreements:
        known_as = catalogue.find_provider(agreement.provider)
        partner = known_as.name if known_as else normal_name(agreement.provider)
        covered = partner == provider and any(
            agreement_covers(
                agreement,
                providers=frozenset({agreement.provider}),
                model=model,
                route=binding.route,
                action=case.action,
                developer=student.developer,
                student=student.name,
                days=(binding.day, *((case.at,) if case.at else ())),
            )
            for model in ((binding.model,) if origin is None else (binding.model, origin))
        )
        if covered:
            return agreement
    return None


def _add_unmatched(facts: Facts, case: Case, binding: Binding, catalogue: Catalogue) -> None:
    for miss in binding.unmatched:
        provider = (binding.provider or "").lower()
        liftable = miss.kind in ("no-terms", "no-licence") or (miss.kind == "unknown-teacher" and not miss.needs)
        agreement = find_agreement(case, binding, provider, catalogue) if liftable else None
        if agreement is not None:
            _add_agreement(facts, agreement, None)
            continue
        shown = {"kind": miss.kind, "teacher": f"{binding.provider}/{binding.model}", "route": binding.route}
        facts.add("unmatched", Finding(None, None, "policy", miss.text, shown, miss.needs))


def _add_agreement(facts: Facts, agreement: Agreement, document: Document | None) -> None:
    text = f"an agreement with {agreement.provider} names this use (document {agreement.document_digest})"
    name = document.id if document else None
    facts.agreements.append(agreement.id)
    shown = {"kind": "agreement", "agreement": agreement.id}
    facts.add("permits_agreement", Finding(name, None, "contract", text, shown))


def _read_all(
    facts: Facts, case: Case, binding: Binding, chosen: Sequence[tuple[Bound, Document]], catalogue: Catalogue
) -> list[_Read]:
    """Read every document that binds the student; agreements and contracts of others are set apart here."""
    readings: list[_Read] = []
    for bound, document in chosen:
        agreement = find_agreement(case, binding, document.provider, catalogue, origin=bound.origin)
        if agreement is not None:
            _add_agreement(facts, agreement, document)
            _add_conditions(facts, case, bound, document, agreed=True)
        elif bound.of_another:
            text = f"{document.title}: {bound.why}"
            facts.add("of_another", Finding(document.id, document.training.clause, document.route, text))
        else:
            reading = read_document(document, case.student)
            readings.append((bound, replace(reading, finding=_tell_way(reading.finding, bound))))
    return readings


def _tell_way(finding: Finding, bound: Bound) -> Finding:
    """The finding with the models through which its document came."""
    if not bound.path:
        return finding
    text = f"{finding.text}, carried by {bound.way}"
    return replace(finding, text=text, facts={**finding.facts, "carried_by": bound.way})


def _add_readings(facts: Facts, case: Case, read: Sequence[_Read]) -> None:
    """Put each reading under its fact; within one provider a bar beside a text that leaves the use open is a conflict."""
    for provider in dict.fromkeys(reading.document.provider for _, reading in read):
        group = [(bound, reading) for bound, reading in read if reading.document.provider == provider]
        barred = [reading for _, reading in group if reading.stance in HITS]
        left_open = [r for _, r in group if r.stance in LEAVES_OPEN or r.spares or r.stance == "bar-unclear"]
        # What the unclear ones turn on may end the conflict: if they bar as well, all do.
        needs = tuple(dict.fromkeys(n for _, r in group if r.stance == "bar-unclear" for n in r.finding.needs))
        conflict = bool(barred and left_open)
        for bound, reading in group:
            doubt = needs if conflict and reading.stance != "bar-unclear" else None
            _add_reading(facts, case, bound, reading, doubt)
            _add_conditions(facts, case, bound, reading.document, reading=reading)


def _add_reading(facts: Facts, case: Case, bound: Bound, reading: Reading, doubt: tuple[str, ...] | None) -> None:
    """`doubt` is given where documents of the provider disagree: the facts that may end it."""
    document, finding = reading.document, reading.finding
    if doubt is not None and (reading.stance in HITS or reading.stance in LEAVES_OPEN or reading.spares):
        facts.add("conflicting", replace(finding, needs=(*finding.needs, *doubt)))
    elif document.kind == "guidance":
        return  # A help page weighs below a contract: it can contradict one, never permit or bar on its own.
    elif (
        document.route == "contract" and reading.stance in LEAVES_OPEN and not (own := _own_account(case, bound)).value
    ):
        facts.add("others_account", _with(finding, own))
    else:
        facts.add(_STANCE_FACTS[reading.stance], finding)


@dataclass(frozen=True)
class _Account:
    value: bool
    holder: str
    developer: str
    needs: tuple[str, ...]


def _own_account(case: Case, bound: Bound) -> _Account:
    """Whether the account is shown to be the developer's own, be it the one of an earlier generation; not known is not shown."""
    account = known(case.sample.get("account")) or {}
    holder, developer = bound.party if bound.path else known(account.get("holder")), case.student.developer
    needs = (*(() if holder else ("account.holder",)), *(() if developer else ("developer.name",)))
    same = bool(holder and developer and _is_one_party(holder, developer))
    return _Account(same, holder or "unknown", developer or "unknown", needs)


def _is_one_party(one: str, other: str) -> bool:
    """Whether two names are certainly one party's: a permission asks for more than a bar, which reaches like spellings too."""
    return one.strip().casefold() == other.strip().casefold()


def _with(finding: Finding, account: _Account) -> Finding:
    shown = {**finding.facts, "account.holder": account.holder, "developer.name": account.developer}
    text = f"{finding.text}; the account is {account.holder}'s, the developer is {account.developer}"
    return Finding(finding.document, finding.clause, finding.route, text, shown, account.needs)


def _add_conditions(
    facts: Facts,
    case: Case,
    bound: Bound,
    document: Document,
    *,
    reading: Reading | None = None,
    agreed: bool = False,
) -> None:
    model = bound.origin or str(known((case.sample.get("teacher") or {}).get("model")) or "")
    situation = Situation(
        student=case.student,
        action=case.action,
        model=model,
        by_family=True if reading and reading.by_family else is_built_on(document, case.student),
        bar_hits=bool(reading and reading.stance in HITS),
        agreed=agreed,
    )
    judged = [replace(status, carried_by=bound.way or None) for status in judge_conditions(document, situation)]
    facts.conditions.extend(judged)
    if agreed:
        return
    for condition, status in zip(document.conditions, judged, strict=True):
        if condition.type in USE_LIMITS:
            _add_limit(facts, status, condition.verified, case.student)
        elif condition.type == "territory-exclusion":
            _add_place(facts, status, developer_excluded(condition, situation).status, case.student)


def _add_limit(facts: Facts, status: ConditionStatus, verified: bool, student: Student) -> None:
    """A limit on the use of outputs reaches training itself, so it speaks on every action, not on publication alone."""
    if status.status in ("met", "not-triggered"):
        return
    name = "use_limits_broken" if status.status == "unmet" and verified else "use_limits_unclear"
    shown = {"use": student.use or "unknown", "verified": verified}
    facts.add(name, Finding(status.document, status.clause, status.route, status.requirement, shown, status.needs))


def _add_place(facts: Facts, status: ConditionStatus, developer: str, student: Student) -> None:
    if developer == "not-triggered":
        return
    name = "no_rights_here" if developer == "unmet" else "no_rights_unclear"
    shown = {
        "developer.country": student.country or "unknown",
        "training.location": student.training_location or "unknown",
    }
    needs = () if developer == "unmet" else ("developer.country",)
    facts.add(name, Finding(status.document, status.clause, status.route, status.requirement, shown, needs))


def _add_gaps(
    facts: Facts, case: Case, binding: Binding, chosen: Sequence[tuple[Bound, Document]], catalogue: Catalogue
) -> None:
    for bound, document in chosen:
        if not bound.choice.gap or find_agreement(case, binding, document.provider, catalogue, origin=bound.origin):
            continue
        day = binding.day.isoformat() if binding.day else "a day that is not known"
        text = f"{document.title} ({document.effective_from} to {document.effective_to or 'now'}) may not have held on {day}"
        shown = {"generated_at": day}
        facts.add("gap", Finding(document.id, None, "policy", text, shown, bound.choice.needs))


def _add_record(facts: Facts, case: Case, binding: Binding) -> None:
    record = read_record(case.sample, case.student, binding.route)
    facts.values, facts.scans = record.values, record.scans
    for name, finding in record.findings:
        facts.add(name, finding)


def _add_own_model(facts: Facts, case: Case, binding: Binding, catalogue: Catalogue) -> None:
    """Outputs of a model that was trained here are its developer's: another developer needs a permission of theirs."""
    developer, teacher = case.student.developer, f"{binding.provider}/{binding.model}"
    for trained_by in binding.trained_by:
        shown = {"kind": "own-model", "trained_by": trained_by or "unknown", "developer.name": developer or "unknown"}
        if trained_by and developer and _is_one_party(trained_by, developer):
            text = f"{teacher} was trained here by {trained_by}, the student's own developer"
            facts.add("own_model", Finding(None, None, "policy", text, shown))
        elif (agreement := find_agreement(case, binding, normal_name(trained_by or ""), catalogue)) is not None:
            _add_agreement(facts, agreement, None)
        else:
            whose = trained_by or "a developer that nobody declared"
            text = f"{teacher} was trained here by {whose}; no permission of theirs is on record"
            needs = () if developer else ("developer.name",)
            facts.add("unmatched", Finding(None, None, "policy", text, {**shown, "kind": "others-model"}, needs))
