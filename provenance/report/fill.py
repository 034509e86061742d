"""The ownership-and-legality report from recorded facts: three answers, then every field of the template.

Pure: the same facts give the same report, whoever asks and whenever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provenance.report import conduct, ownership
from provenance.report.answers import answer_limits, answer_ownership, answer_training, student_name
from provenance.report.context import Report, ReportField, Section
from provenance.report.facts import ReleaseFacts
from provenance.report.filled import Filled, not_recorded
from provenance.report.templates import FieldTemplate, ReportTemplate, get_template

KIND = "ownership-and-legality"

UNVERIFIED_NOTE = "Rule not verified, confirm with counsel before filing."
"""The note that the template asks for on a field whose rule carries the tag F."""

FILLERS: Mapping[str, Callable[[ReleaseFacts], Filled]] = {
    "US-OWN/3": ownership.fill_contract_layer,
    "US-OWN/1": ownership.fill_human_contribution,
    "CN-OTH/3": ownership.fill_reach_through,
    "CN-OTH/2": ownership.fill_process_record,
    "US-CON/1": ownership.fill_terms_in_force,
    "US-CON/1.verdicts": ownership.fill_clause_verdicts,
    "US-CON/1.compete": ownership.fill_competition,
    "US-CON/1.perm": ownership.fill_permissions,
    "LIC/obligations": ownership.fill_obligations,
    "US-CON/4": conduct.fill_access,
    "US-TRAIN/3": conduct.fill_acquisition,
    "EU-53-1-c/2": conduct.fill_mining,
    "POL/version": conduct.fill_policy,
    "POL/hits": conduct.fill_rule_hits,
    "INT/chain": conduct.fill_chain,
}
"""Field id -> what fills it. `EU-GL/status` needs the thresholds too and stands in `fill`."""

MISSING = {
    "US-OWN/4": "No memorisation or similarity scan is recorded.",
    "OWN/pd": "No scan for personal data and no basis is recorded.",
    "US-TRAIN/2": "No statement on prompts derived from a competitor's work is recorded.",
    "POL/safety": "Whether refusals and safety behaviour were kept is not recorded.",
    "LAW/open": "No counsel's list of open points with its date is recorded.",
    "LAW/none": "No counsel's statement and no date of search is recorded.",
}
"""What is looked for in the fields that nothing records yet."""


def fill_ownership_and_legality(facts: ReleaseFacts) -> Report:
    """The report on one release: who owns the outputs, may the student be trained, which limits apply."""
    template = get_template(KIND)
    owners, training, limits = template.questions
    return Report(
        id=facts.report_id,
        kind=KIND,
        title=template.title,
        audience=template.audience,
        subject=f"release {facts.release}",
        student=student_name(facts),
        log=facts.log,
        answers=[
            answer_ownership(facts, owners),
            answer_training(facts, training),
            answer_limits(facts, limits),
        ],
        sections=[
            Section(section.id, section.title, [_fill_field(item, facts, template) for item in section.fields])
            for section in template.sections
        ],
        disclaimer=template.disclaimer,
        verified_tags=template.verified_tags,
        template_version=template.schema_version,
        template_as_of=template.as_of,
        previous=facts.previous_report_id,
    )


def _fill_field(template: FieldTemplate, facts: ReleaseFacts, report: ReportTemplate) -> ReportField:
    filled = _fill(template.id, facts, report)
    notes = [filled.note, template.note, UNVERIFIED_NOTE if template.verified == "F" else None]
    return ReportField(
        id=template.id,
        label=template.label,
        description=template.description,
        state=filled.state,
        value=filled.value,
        derivation=template.derivation,
        evidence=filled.evidence,
        attestor=filled.attestor,
        rule_verified=template.verified,
        note=" ".join(note if note.endswith(".") else note + "." for note in notes if note) or None,
    )


def _fill(field_id: str, facts: ReleaseFacts, report: ReportTemplate) -> Filled:
    if field_id == "EU-GL/status":
        return conduct.fill_provider_status(facts, report.thresholds)
    if field_id in FILLERS:
        return FILLERS[field_id](facts)
    return not_recorded(MISSING.get(field_id, "Nothing is recorded for this field."))
