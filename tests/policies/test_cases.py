"""The shipped cases, held against the shipped packs and terms."""

from __future__ import annotations

from pathlib import Path

import pytest

from provenance.errors import PolicyDocumentError
from provenance.policy.cases import PolicyCase, load_cases, rules_without_cases, run_case, run_cases
from provenance.policy.pack import Pack, load_pack
from provenance.terms.catalogue import Catalogue, load_catalogue

CASES = load_cases()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def pack() -> Pack:
    return load_pack()


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file}: {case.name}" for case in CASES])
def test_the_case_comes_out_as_counsel_wrote_it(case: PolicyCase, catalogue: Catalogue, pack: Pack) -> None:
    result = run_case(case, catalogue, pack)
    assert result.problems == ()


def test_every_rule_has_a_case_and_every_verdict_has_many(catalogue: Catalogue, pack: Pack) -> None:
    results = run_cases(None, catalogue, pack)
    assert rules_without_cases(results, pack) == []
    for verdict in ("allow", "allow-with-conditions", "review", "deny"):
        assert sum(result.verdict == verdict for result in results) >= 20


def test_every_provider_has_a_case(catalogue: Catalogue) -> None:
    asked = {catalogue.find_provider(case.sample["teacher"]["provider"]) for case in CASES}
    assert {provider.name for provider in asked if provider} == set(catalogue.providers)


def test_every_kind_of_condition_that_is_judged_has_a_case(catalogue: Catalogue) -> None:
    judged = {
        condition.type
        for document in catalogue.documents
        for condition in document.conditions
        if condition.attaches_to not in ("conduct", "base", "materials")
    }
    expected = {kind for case in CASES for kind in case.expect.get("conditions") or {}}
    assert judged - expected <= {"acceptable-use", "prior-written-authorisation"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("cases: 3\n", "a list `cases`"),
        ("cases:\n  - sample: {teacher: a/b}\n", "no name"),
        ("cases:\n  - {name: x, sample: {teacher: a/b}, expect: {verdict: fine}}\n", "expect.verdict"),
        ("cases:\n  - {name: x, expect: {verdict: deny}}\n", "case 'x': sample.teacher"),
        ("cases:\n  - {name: x, sample: {teacher: 3}, expect: {verdict: deny}}\n", "case 'x': sample.teacher"),
        ("cases:\n  - {name: x, sample: [a], expect: {verdict: deny}}\n", "sample is .*expected an object"),
        ("cases:\n  - {name: x, sample: {teacher: a/b}, student: [y], expect: {verdict: deny}}\n", "student is"),
        ("cases:\n  - {name: x, sample: {teacher: a/b}, expect: [deny]}\n", "expect is"),
        ("cases:\n  - {name: x, at: soon, sample: {teacher: a/b}, expect: {verdict: deny}}\n", "case 'x': at"),
        ("cases:\n  - x\n", "no name"),
        ("cases:\n  - {name: x, sampel: {}, expect: {verdict: deny}}\n", "sampel"),
        ("cases:\n  - {name: x, sample: {teacher: a/b}, expect: {verdict: deny, rul: x}}\n", "rul"),
        ("cases:\n  - {name: x, sample: {teacher: a/b}, student: {like: nobody}, expect: {verdict: deny}}\n", "nobody"),
    ],
)
def test_a_bad_case_file_is_refused_with_its_name(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "students.yaml").write_text("acme-tutor: {name: x}\n")
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(PolicyDocumentError, match=what) as caught:
        load_cases(tmp_path)
    assert "bad.yaml" in str(caught.value)


def test_a_case_that_does_not_hold_says_why(tmp_path: Path, catalogue: Catalogue, pack: Pack) -> None:
    (tmp_path / "students.yaml").write_text("acme-tutor: {name: x}\n")
    (tmp_path / "wrong.yaml").write_text(
        "cases:\n"
        "  - {name: one, sample: {teacher: meta/llama-3-8b, route: weights, generated_at: 2026-03-01},\n"
        "     expect: {verdict: allow, rule: no.such, documents: [], unknown: [use], remedy: x,\n"
        "              conditions: {name-prefix: met}}}\n"
        "  - {name: two, sample: {teacher: meta/llama-3-8b, role: x}, expect: {verdict: deny}}\n"
    )
    first, second = run_cases(tmp_path, catalogue, pack)
    assert len(first.problems) == 6
    assert second.verdict == "malformed"
    assert not second.passed
