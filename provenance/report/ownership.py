"""The report's sections on ownership layers and on each teacher's terms: one function a field, all pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provenance.report.context import Row
from provenance.report.facts import ClauseFact, DocumentFacts, ReleaseFacts, TeacherGroup
from provenance.report.filled import (
    NOT_RECORDED,
    UNKNOWN,
    Filled,
    document_evidence,
    group_evidence,
    list_bindings,
    not_recorded,
)

CLAUSE_VERDICTS = {
    "allowed": "permits",
    "allowed-with-conditions": "permits_with_obligations",
    "prohibited-competing": "prohibits",
    "prohibited-any-other-model": "prohibits",
    "silent": "silent",
    "unknown": "not_reviewed",
}
"""The catalogue's values of `train_on_outputs` in the template's words."""

SIGNED_AT_CREATION = ("recorded", "replayed")
"""The evidence grades of samples whose record was made by the one who generated them, at that moment."""


def fill_contract_layer(facts: ReleaseFacts) -> Filled:
    """US-OWN/3: what each document says about rights in outputs."""
    return _clause_table(facts, "output_ownership")


def fill_human_contribution(facts: ReleaseFacts) -> Filled:
    """US-OWN/1: kinds of human contribution by teacher, with the samples that name none."""
    rows = [
        {"teacher": group.teacher, "contribution": kind, "samples": count}
        for group in facts.groups
        for kind, count in sorted(group.human_contributions.items())
    ]
    if all(row["contribution"] == NOT_RECORDED for row in rows):
        return Filled("not_recorded", rows, group_evidence(facts), note="No sample names a human contribution.")
    return Filled("recorded", rows, group_evidence(facts))


def fill_reach_through(facts: ReleaseFacts) -> Filled:
    """CN-OTH/3: whether a document reaches through to the student, and what a competitor is to it."""
    rows = [
        _clause_row(group, document, clause)
        for group, document in list_bindings(facts)
        for clause in document.clauses
        if clause.name in ("distilled_model_is_derivative", "competing_definition")
    ]
    note = "No counsel's statement on trade secrets or competition interests is recorded."
    return Filled("recorded", rows, document_evidence(facts), note=note) if rows else not_recorded(note)


def fill_process_record(facts: ReleaseFacts) -> Filled:
    """CN-OTH/2: how many samples were signed when they were made, and the gaps of the log."""
    total = sum(group.samples for group in facts.groups)
    early = sum(group.evidence_grades.get(grade, 0) for group in facts.groups for grade in SIGNED_AT_CREATION)
    value = {
        "samples": total,
        "signed at creation": early,
        "signed later, at import": total - early,
        "share signed later": round((total - early) / total, 4) if total else None,
        "gaps in the log": list(facts.log.gaps) or "none recorded",
    }
    return Filled("recorded", value, group_evidence(facts))


def fill_terms_in_force(facts: ReleaseFacts) -> Filled:
    """US-CON/1: each document with its period beside the days of the calls."""
    rows = [
        {
            "teacher": group.teacher,
            "document": document.id,
            "version": document.version,
            "in force": f"{document.effective_from or UNKNOWN} to {document.effective_to or 'open'}",
            "calls": f"{group.first_generated_at[:10]} to {group.last_generated_at[:10]}",
            "covers every call": _covers(document, group),
            "text read": document.verified,
            "text digest": document.digest,
        }
        for group, document in list_bindings(facts)
    ]
    return _with_uncovered(facts, rows)


def fill_clause_verdicts(facts: ReleaseFacts) -> Filled:
    """US-CON/1.verdicts: what each document says about training on outputs, in the template's words."""
    rows = [
        {**_clause_row(group, document, clause), "verdict": CLAUSE_VERDICTS.get(clause.value, "ambiguous")}
        for group, document in list_bindings(facts)
        if (clause := document.find_clause("train_on_outputs")) is not None
    ]
    return _with_uncovered(facts, rows, "No reviewer's name is recorded for these readings.")


def fill_competition(facts: ReleaseFacts) -> Filled:
    """US-CON/1.compete: what the developer declared about competition; nobody else assessed it."""
    declared = facts.student.get("competes_with", UNKNOWN)
    value = {
        "competes with": declared if declared != [] else "nobody, as declared",
        "purpose": facts.student.get("purpose", UNKNOWN),
        "use": facts.student.get("use", UNKNOWN),
        "distribution": facts.student.get("distribution", UNKNOWN),
    }
    note = "Declared by the developer of the student. No counsel's assessment is recorded."
    if declared == UNKNOWN:
        return Filled("not_recorded", value, [facts.decision.evidence], note=note)
    return Filled("attested", value, [facts.decision.evidence], _developer(facts), note)


def fill_permissions(facts: ReleaseFacts) -> Filled:
    """US-CON/1.perm: written permissions and their scope."""
    rows = [
        {
            "provider": item.provider,
            "scope": item.scope,
            "valid": f"{item.valid_from or UNKNOWN} to {item.valid_to or 'open'}",
            "document digest": item.document_digest,
        }
        for item in facts.agreements
    ]
    if not rows:
        return not_recorded("No written permission is recorded.")
    return Filled("recorded", rows, [item.evidence for item in facts.agreements])


def fill_obligations(facts: ReleaseFacts) -> Filled:
    """LIC/obligations: conditions on the student and how they stand."""
    rows = [
        {
            "condition": item["type"],
            "asks": item["requirement"],
            "status": item["status"],
            "document": item.get("document"),
            "clause": item.get("clause"),
        }
        for item in facts.decision.answer.get("conditions", ())
    ]
    evidence = [facts.decision.evidence, *([facts.model.evidence] if facts.model else [])]
    if not rows:
        return Filled("not_applicable", None, evidence, note="The decision names no condition.")
    return Filled("recorded", rows, evidence, note=_weights_note(facts))


def _clause_row(group: TeacherGroup, document: DocumentFacts, clause: ClauseFact) -> dict[str, Any]:
    return {
        "teacher": group.teacher,
        "document": document.id,
        "clause": clause.clause,
        "about": clause.name.replace("_", " "),
        "says": clause.value,
        "reading": clause.paraphrase,
        "text read": clause.verified,
    }


def _clause_table(facts: ReleaseFacts, name: str) -> Filled:
    found = [(group, document, document.find_clause(name)) for group, document in list_bindings(facts)]
    rows = [_clause_row(group, document, clause) for group, document, clause in found if clause is not None]
    filled = _with_uncovered(facts, rows)
    says: dict[str, set[str]] = {}
    for row in rows:
        says.setdefault(row["teacher"], set()).add(row["says"])
    if disagreeing := sorted(teacher for teacher, values in says.items() if len(values) > 1):
        note = f"The documents of {', '.join(disagreeing)} say different things."
        return Filled("conflicting", rows, filled.evidence, note=note)
    return filled


def _with_uncovered(facts: ReleaseFacts, rows: Sequence[Row], note: str = "") -> Filled:
    """A table by document, with the teachers that no document covers named under it."""
    uncovered = [group.teacher for group in facts.groups if not group.documents]
    gap = f"No document on record covers {', '.join(uncovered)}. " if uncovered else ""
    text = (gap + note).strip() or None
    if not rows:
        return not_recorded(text or "No document on record covers these teachers.")
    return Filled("recorded", rows, document_evidence(facts), note=text)


def _covers(document: DocumentFacts, group: TeacherGroup) -> str:
    bounds = [bound for bound in (document.effective_from, document.effective_to) if bound is not None]
    if document.effective_from is None or any(len(bound) != len("2026-11-24") for bound in bounds):
        return UNKNOWN  # an open or fuzzy bound says nothing about a single day
    starts = document.effective_from <= group.first_generated_at[:10]
    ends = document.effective_to is None or group.last_generated_at[:10] <= document.effective_to
    return "yes" if starts and ends else "no"


def _developer(facts: ReleaseFacts) -> str:
    developer = facts.student.get("developer") or {}
    return str(developer.get("name", UNKNOWN) if isinstance(developer, Mapping) else developer)


def _weights_note(facts: ReleaseFacts) -> str | None:
    if facts.model is None:
        return "No student is registered yet; whoever registers it inherits these."
    return f"Registered with the student {facts.model.name} as inherited conditions: {len(facts.model.conditions)}."
