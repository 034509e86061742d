"""The facts that rules ask for, computed for one sample, one student and one set of candidate documents.

Python computes, Cedar decides: nothing here says allow or deny. Each fact about documents keeps its findings, so that
a decision can name document, clause, route and the values that it turned on.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provenance.policy.conditions import USE_LIMITS, judge_conditions
from provenance.policy.limits import developer_excluded
from provenance.policy.reach import HITS, LEAVES_OPEN, Reading, is_built_on, read_document
from provenance.policy.situation import Situation
from provenance.policy.student import Student
from provenance.policy.verdict import ConditionStatus, Finding
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
_OPEN_LICENCE = re.compile(
    r"(cc0|cc-by|pddl|odc-by|odbl|apache|mit\b|bsd|isc|unlicense|public.domain|llama|gemma|qwen|openrail)"
)
_RESTRICTED_LICENCE = re.compile(r"(-nc\b|-nc-|non-?commercial|research|-nd\b|-nd-)")
SCAN_TEXTS = {
    "personal_data": "a scan found personal data",
    "memorisation": "a scan found text that repeats a protected work",
    "bulk_us_sensitive": "a scan found bulk sensitive US personal data",
    "quality": "a quality check failed",
    "dropped_ai_label": "a label of generated content was dropped",
    "listed_party": "screening found a listed party",
}


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
        asked = [name for name in WEIGHTS_FACTS if name in self.findings]
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
    facts = Facts(documents=[document for _, document in chosen])
    _add_unmatched(facts, case, binding, catalogue)
    readings = _read_all(facts, case, binding, chosen, catalogue)
    _add_readings(facts, case, readings)
    _add_gaps(facts, case, binding, chosen, catalogue)
    _add_record(facts, case, binding)
    return facts


def find_agreement(case: Case, binding: Binding, provider: str, catalogue: Catalogue) -> Agreement | None:
    """The first agreement with this provider that names the use, in the order given."""
    student = case.student
    for agreement in case.agreements:
        known_as = catalogue.find_provider(agreement.provider)
        partner = known_as.name if known_as else agreement.provider
        covered = partner == provider and agreement_covers(
            agreement,
            providers=frozenset({agreement.provider}),
            model=binding.model,
            route=binding.route,
            action=case.action,
            developer=student.developer,
            student=student.name,
            days=(binding.day, *((case.at,) if case.at else ())),
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
) -> list[Reading]:
    """Read every document that binds the student; agreements and contracts of others are set apart here."""
    readings = []
    for bound, document in chosen:
        agreement = find_agreement(case, binding, document.provider, catalogue)
        if agreement is not None:
            _add_agreement(facts, agreement, document)
            _add_conditions(facts, case, document, agreed=True)
        elif bound.of_another:
            text = f"{document.title}: {bound.why}"
            facts.add("of_another", Finding(document.id, document.training.clause, document.route, text))
        else:
            readings.append(read_document(document, case.student))
    return readings


def _add_readings(facts: Facts, case: Case, readings: Sequence[Reading]) -> None:
    """Put each reading under its fact; within one provider a bar beside a text that leaves the use open is a conflict."""
    for provider in dict.fromkeys(reading.document.provider for reading in readings):
        group = [reading for reading in readings if reading.document.provider == provider]
        barred = [reading for reading in group if reading.stance in HITS]
        left_open = [r for r in group if r.stance in LEAVES_OPEN or r.spares or r.stance == "bar-unclear"]
        # What the unclear ones turn on may end the conflict: if they bar as well, all do.
        needs = tuple(dict.fromkeys(n for r in group if r.stance == "bar-unclear" for n in r.finding.needs))
        conflict = bool(barred and left_open)
        for reading in group:
            _add_reading(facts, case, reading, conflict=conflict and reading.stance != "bar-unclear", needs=needs)
            _add_conditions(facts, case, reading.document, reading=reading)


def _add_reading(facts: Facts, case: Case, reading: Reading, *, conflict: bool, needs: tuple[str, ...]) -> None:
    document, finding = reading.document, reading.finding
    if conflict and (reading.stance in HITS or reading.stance in LEAVES_OPEN or reading.spares):
        facts.add("conflicting", replace(finding, needs=(*finding.needs, *needs)))
    elif document.kind == "guidance":
        return  # A help page weighs below a contract: it can contradict one, never permit or bar on its own.
    elif document.route == "contract" and reading.stance in LEAVES_OPEN and not (own := _own_account(case)).value:
        facts.add("others_account", _with(finding, own))
    else:
        facts.add(_STANCE_FACTS[reading.stance], finding)


@dataclass(frozen=True)
class _Account:
    value: bool
    holder: str
    developer: str
    needs: tuple[str, ...]


def _own_account(case: Case) -> _Account:
    """Whether the account is shown to be the developer's own; not known is not shown."""
    account = known(case.sample.get("account")) or {}
    holder, developer = known(account.get("holder")), case.student.developer
    needs = (*(() if holder else ("account.holder",)), *(() if developer else ("developer.name",)))
    same = bool(holder and developer and holder.strip().casefold() == developer.strip().casefold())
    return _Account(same, holder or "unknown", developer or "unknown", needs)


def _with(finding: Finding, account: _Account) -> Finding:
    shown = {**finding.facts, "account.holder": account.holder, "developer.name": account.developer}
    text = f"{finding.text}; the account is {account.holder}'s, the developer is {account.developer}"
    return Finding(finding.document, finding.clause, finding.route, text, shown, account.needs)


def _add_conditions(
    facts: Facts, case: Case, document: Document, *, reading: Reading | None = None, agreed: bool = False
) -> None:
    model = str(known((case.sample.get("teacher") or {}).get("model")) or "")
    situation = Situation(
        student=case.student,
        action=case.action,
        model=model,
        by_family=True if reading and reading.by_family else is_built_on(document, case.student),
        bar_hits=bool(reading and reading.stance in HITS),
        agreed=agreed,
    )
    judged = judge_conditions(document, situation)
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
        if not bound.choice.gap or find_agreement(case, binding, document.provider, catalogue):
            continue
        day = binding.day.isoformat() if binding.day else "a day that is not known"
        text = f"{document.title} ({document.effective_from} to {document.effective_to or 'now'}) may not have held on {day}"
        shown = {"generated_at": day}
        facts.add("gap", Finding(document.id, None, "policy", text, shown, bound.choice.needs))


def _add_record(facts: Facts, case: Case, binding: Binding) -> None:
    """Facts of the record itself: licences of data set and prompts, evidence grade, scans."""
    source = _licence_state(_licence(case.sample, "source_dataset"), case.student)
    prompts = _licence_state(_licence(case.sample, "prompt_origin"), case.student)
    dataset = binding.route == "dataset"
    facts.values = {
        "route": binding.route,
        "source_licence": source if dataset else "none",
        "prompt_licence": "not-recorded" if prompts == "unknown" else prompts,
        "evidence": str(known(case.sample.get("evidence")) or "not-recorded"),
    }
    scans = known(case.sample.get("scans")) or {}
    facts.scans = [name for name, result in scans.items() if result == "found"]
    _explain_record(facts, case, dataset=dataset)


def _explain_record(facts: Facts, case: Case, *, dataset: bool) -> None:
    use = case.student.use or "unknown"
    if dataset and facts.values["source_licence"] in ("restricted", "unknown"):
        licence = _licence(case.sample, "source_dataset")
        needs = ("source_dataset.license",) if licence is None else (("use",) if case.student.use is None else ())
        text = f"the data set is claimed to be under {licence or 'a licence that is not known'}"
        shown = {"source_dataset.license": licence or "unknown", "use": use}
        facts.add("source_licence", Finding(None, None, "copyright", text, shown, needs))
    if facts.values["prompt_licence"] == "restricted":
        licence = _licence(case.sample, "prompt_origin")
        text, shown = f"the prompts are under {licence}", {"prompt_origin.license": str(licence), "use": use}
        needs = ("use",) if case.student.use is None else ()
        facts.add("prompt_licence", Finding(None, None, "copyright", text, shown, needs))
    for name in facts.scans:
        facts.add("scans", Finding(None, None, "policy", SCAN_TEXTS[name], {"scan": name}))
    grade = facts.values["evidence"]
    facts.add("evidence", Finding(None, None, "policy", f"the evidence grade is {grade}", {"evidence": grade}))
    student = case.student
    shown = {
        "developer.country": student.country or "unknown",
        "developer.ultimate_parent_country": student.parent_country or "unknown",
        "training.hardware": student.hardware or "unknown",
    }
    facts.add("export", Finding(None, None, "statute", "to be screened before training", shown))


def _licence(sample: Mapping[str, Any], name: str) -> str | None:
    found = known((known(sample.get(name)) or {}).get("license"))
    return str(found) if found else None


def _licence_state(licence: str | None, student: Student) -> str:
    """What a claimed licence says to this use; a tag can restrict, it can never clear the terms behind it."""
    text = (licence or "").lower()
    if _RESTRICTED_LICENCE.search(text):
        no_derivatives = re.search(r"-nd\b|-nd-", text) is not None
        return "restricted" if student.use != "research" or no_derivatives else "open"
    return "open" if _OPEN_LICENCE.search(text) else "unknown"
