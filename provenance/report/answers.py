"""The three questions of the report, answered with recorded facts, clauses, and what is not recorded. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from provenance.report.context import Answer, ClauseCitation, RecordedFact
from provenance.report.facts import ClauseFact, DocumentFacts, ReleaseFacts, TeacherGroup

VERDICT_WORDS = {
    "allow": "Allowed",
    "allow-with-conditions": "Allowed with conditions",
    "review": "Needs review",
    "deny": "Blocked",
}


def answer_ownership(facts: ReleaseFacts, question: str) -> Answer:
    """What the terms say about rights in outputs, and what they cannot say."""
    clauses = _cite(facts, ("output_ownership",))
    without = [group.teacher for group in facts.groups if not any(c.teacher == group.teacher for c in clauses)]
    missing = [f"no document on record speaks for {teacher}" for teacher in without]
    if all(set(group.human_contributions) <= {"not recorded"} for group in facts.groups):
        missing.append("no human contribution to any sample")
    missing += ["memorisation, similarity and personal-data scans", "statements of counsel"]
    summary = (
        f"The record holds {len(clauses)} clause{'' if len(clauses) == 1 else 's'} on rights in outputs for "
        f"{len(facts.groups)} teacher{'' if len(facts.groups) == 1 else 's'}: {_count_values(clauses)}. "
        "A clause divides rights between its parties only; "
        "who holds rights in the knowledge behind an output is no recorded fact."
    )
    recorded = [
        RecordedFact(
            f"{group.teacher}: {group.samples:,} samples, {group.tokens:,} tokens, route {group.route}, generated "
            f"{group.first_generated_at[:10]} to {group.last_generated_at[:10]}, evidence {_counts(group.evidence_grades)}.",
            group.evidence,
        )
        for group in facts.groups
    ]
    return Answer("ownership", question, "Who owns the outputs?", summary, recorded, clauses, missing)


def answer_training(facts: ReleaseFacts, question: str) -> Answer:
    """What the rules decided for this student, and what was trained."""
    answer = facts.decision.answer
    verdicts: dict[str, int] = {}
    for group in facts.groups:
        verdicts[group.verdict] = verdicts.get(group.verdict, 0) + group.samples
    words = ", ".join(f"{VERDICT_WORDS[verdict]} {count:,}" for verdict, count in sorted(verdicts.items()))
    summary = (
        f"Under policy {str((answer.get('policy') or {}).get('digest'))[:23]}… the recorded rules give, by samples: {words}. "
        f"{facts.released:,} of {facts.selected:,} samples went into release {facts.release}, "
        f"{facts.quarantined:,} are quarantined."
    )
    recorded = [
        RecordedFact(
            f"Decision {facts.decision.id} of {facts.decision.decided_at}: {VERDICT_WORDS[answer['verdict']]} as a whole.",
            [facts.decision.evidence],
        ),
        RecordedFact(
            f"Release {facts.release} is in state {facts.state}, manifest {facts.manifest_digest or 'not written'}.",
            [facts.release_evidence],
        ),
        *_training_facts(facts),
    ]
    missing = [f"{name} (unknown, and another value could change the verdict)" for name in answer.get("unknown", ())]
    missing += [f"{name} (not assessed)" for name in answer.get("not_assessed", ())]
    short = f"May {student_name(facts)} be trained with these teachers?"
    return Answer("training", question, short, summary, recorded, _cite_reasons(facts), missing)


def _training_facts(facts: ReleaseFacts) -> list[RecordedFact]:
    recorded: list[RecordedFact] = []
    if facts.run is not None:
        run = facts.run
        device = run.device or "a device not recorded"
        text = f"Run {run.id} ({run.state}) trained on the release with recipe {run.recipe} on {device}."
        recorded.append(RecordedFact(text, run.evidence))
    if facts.model is not None:
        text = f"The student is registered as model {facts.model.name}, weights {facts.model.weights_digest or 'not recorded'}."
        recorded.append(RecordedFact(text, [facts.model.evidence]))
        recorded += [
            RecordedFact(f"The model was published from this record as {name}.", [evidence])
            for name, evidence in facts.model.published
        ]
    return recorded or [RecordedFact("No training on this release is recorded.", [])]


def answer_limits(facts: ReleaseFacts, question: str) -> Answer:
    """Which limits on training with outputs are on record, and how each stands."""
    names = ("train_on_outputs", "distilled_model_is_derivative", "competing_definition")
    clauses = [*_cite(facts, names), *_cite_conditions(facts)]
    conditions: Sequence[Mapping[str, Any]] = facts.decision.answer.get("conditions", ())
    states: dict[str, int] = {}
    for item in conditions:
        states[item["status"]] = states.get(item["status"], 0) + 1
    barred = sorted({citation.teacher for citation in clauses if citation.says.startswith("prohibited")})
    summary = (
        (f"The recorded terms of {', '.join(barred)} limit training on outputs. " if barred else "")
        + (f"Conditions on the student: {_counts(states)}. " if states else "No condition on the student is named. ")
        + "Whether there should be such limits is a question of policy; this lists those that are on record."
    )
    recorded = [
        RecordedFact(
            f"{item['type']}: {item['requirement']}. Status {item['status']} "
            f"({item.get('document') or 'no document'}{', clause ' + str(item['clause']) if item.get('clause') else ''}).",
            [facts.decision.evidence],
        )
        for item in conditions
    ]
    recorded += [
        RecordedFact(f"Agreement with {item.provider}: {item.scope}.", [item.evidence]) for item in facts.agreements
    ]
    unread = sorted({citation.document for citation in clauses if not citation.verified})
    missing = [f"some clauses of {document} cited here were not read in their own words" for document in unread]
    if not facts.agreements:
        missing.append("no written permission of a provider")
    return Answer("limits", question, "Which limits on distillation apply?", summary, recorded, clauses, missing)


def _cite(facts: ReleaseFacts, names: Iterable[str]) -> list[ClauseCitation]:
    wanted = tuple(names)
    return [
        _citation(group, document, clause)
        for group in facts.groups
        for document in group.documents
        for clause in document.clauses
        if clause.name in wanted
    ]


def _cite_conditions(facts: ReleaseFacts) -> list[ClauseCitation]:
    return [
        _citation(group, document, clause)
        for group in facts.groups
        for document in group.documents
        for clause in document.conditions
    ]


def _citation(group: TeacherGroup, document: DocumentFacts, clause: ClauseFact) -> ClauseCitation:
    return ClauseCitation(
        teacher=group.teacher,
        document=document.id,
        title=document.title,
        version=document.version,
        clause=clause.clause,
        route="licence" if "licence" in document.kind else "contract",
        says=clause.value,
        reading=clause.paraphrase,
        verified=clause.verified,
    )


def _cite_reasons(facts: ReleaseFacts) -> list[ClauseCitation]:
    """The clauses that the decision's rules named, with the documents' titles."""
    documents = {document.id: (group.teacher, document) for group in facts.groups for document in group.documents}
    citations: list[ClauseCitation] = []
    for reason in facts.decision.answer.get("reasons", ()):
        teacher, document = documents.get(reason.get("document"), ("", None))
        if document is not None:
            citations.append(
                ClauseCitation(
                    teacher=teacher,
                    document=document.id,
                    title=document.title,
                    version=document.version,
                    clause=reason.get("clause"),
                    route=reason["route"],
                    says=reason["effect"],
                    reading=reason["text"],
                    verified=document.verified,
                )
            )
    return citations


def _count_values(clauses: Sequence[ClauseCitation]) -> str:
    values: dict[str, int] = {}
    for citation in clauses:
        values[citation.says] = values.get(citation.says, 0) + 1
    return _counts(values) or "none"


def _counts(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(values.items()))


def student_name(facts: ReleaseFacts) -> str:
    """The student as declared."""
    return str(facts.student.get("name", "a student without a name"))
