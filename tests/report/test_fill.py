"""The report from facts: every field answered, absence said, disagreement shown, no finding made."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from provenance.report.context import Report, ReportField
from provenance.report.fill import UNVERIFIED_NOTE, fill_ownership_and_legality
from provenance.report.templates import get_template
from tests.report.example import document, entry, group, release_facts

FINDING = re.compile(r"\b(lawful|unlawful|legal to|owned by|owns the|compliant|complies)\b", re.IGNORECASE)


def field_of(report: Report, field_id: str) -> ReportField:
    return next(field for field in report.all_fields() if field.id == field_id)


def fill(**changes: object) -> Report:
    return fill_ownership_and_legality(release_facts(**changes))


def test_every_field_of_the_template_is_there_in_its_order() -> None:
    template = get_template("ownership-and-legality")
    wanted = [(section.id, field.id) for section in template.sections for field in section.fields]
    assert [(section.id, field.id) for section in fill().sections for field in section.fields] == wanted


def test_a_field_has_one_of_the_five_states_and_never_a_silent_blank() -> None:
    states = {"recorded", "not_recorded", "conflicting", "attested", "not_applicable"}
    for field in fill().all_fields():
        assert field.state in states
        assert field.value is not None or field.note, field.id
        assert field.evidence or field.state in {"not_recorded", "not_applicable"}, field.id


def test_a_rule_that_nobody_verified_says_so() -> None:
    field = field_of(fill(), "LAW/none")
    assert field.rule_verified == "F"
    assert UNVERIFIED_NOTE in (field.note or "")


def test_three_questions_are_answered_with_facts_clauses_and_what_is_missing() -> None:
    ownership, training, limits = fill().answers
    assert "user-assigned 1" in ownership.summary
    assert any("no document on record speaks for acme/" in item for item in ownership.not_recorded)
    assert "Blocked 60" in training.summary
    assert "260 of 322 samples went into release demo@1" in training.summary
    assert [clause.clause for clause in training.clauses] == ["3.3(e)", "2"]
    assert any("monthly_active_users" in item for item in training.not_recorded)
    assert "openai/gpt-4o limit training on outputs" in limits.summary
    assert any(fact.text.startswith("name-prefix") and "unmet" in fact.text for fact in limits.facts)
    assert all(fact.evidence for fact in (*ownership.facts, *training.facts, *limits.facts))


def test_documents_of_one_teacher_that_disagree_are_shown_as_conflicting() -> None:
    documents = [
        document("a", "A", "api-terms", "user-assigned", "allowed", []),
        document("b", "B", "api-terms", "silent", "allowed", []),
    ]
    report = fill(groups=[group("x/y", "api", "review", 5, 0, "recorded", documents, 9)])
    field = field_of(report, "US-OWN/3")
    assert field.state == "conflicting"
    assert len(field.value or ()) == 2


def test_terms_that_began_after_the_calls_do_not_cover_them() -> None:
    late = replace(document("a", "A", "api-terms", "silent", "allowed", []), effective_from="2027-01-01")
    fuzzy = replace(late, id="b", effective_from="2026")
    report = fill(groups=[group("x/y", "api", "review", 5, 0, "recorded", [late, fuzzy], 9)])
    rows = field_of(report, "US-CON/1").value
    assert isinstance(rows, list)
    assert [row["covers every call"] for row in rows] == ["no", "unknown"]


def test_samples_that_were_signed_later_are_counted() -> None:
    value = field_of(fill(), "CN-OTH/2").value
    assert isinstance(value, dict)
    assert (value["signed at creation"], value["signed later, at import"]) == (200, 122)


def test_without_a_run_or_a_model_the_report_says_so() -> None:
    report = fill(run=None, model=None)
    assert field_of(report, "EU-GL/status").state == "not_recorded"
    assert [fact.text for fact in report.answers[1].facts][-1] == "No training on this release is recorded."


def test_competition_is_attested_by_the_developer_or_not_recorded() -> None:
    assert field_of(fill(), "US-CON/1.compete").attestor == "Acme"
    unknown = fill(student={"name": "acme-1b", "competes_with": "unknown"})
    assert field_of(unknown, "US-CON/1.compete").state == "not_recorded"


@pytest.mark.parametrize(
    ("territories", "state"), [(["US"], "not_applicable"), (["US", "DE"], "not_recorded"), ("unknown", "not_recorded")]
)
def test_the_mining_exception_is_asked_for_only_with_an_eu_territory(territories: object, state: str) -> None:
    assert field_of(fill(student={"name": "s", "territories": territories}), "EU-53-1-c/2").state == state


def test_an_account_is_never_printed() -> None:
    hidden = replace(release_facts().groups[1], account="acct-secret-17")
    report = fill(groups=[hidden])
    assert "acct-secret-17" not in repr(report)
    assert "withheld" in repr(field_of(report, "US-CON/4").value)


def test_no_finding_of_ownership_or_legality_is_made() -> None:
    report = fill()
    texts = [repr(field.value) + repr(field.note) for field in report.all_fields()]
    texts += [
        repr(item) for answer_ in report.answers for item in (answer_.summary, answer_.facts, answer_.not_recorded)
    ]
    assert [text for text in texts if FINDING.search(text)] == []


def test_the_same_facts_give_the_same_report_and_other_facts_another() -> None:
    assert fill() == fill()
    assert fill(released=1) != fill()
    assert fill(release_evidence=entry(1, "other")) != fill()
