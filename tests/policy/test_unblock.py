"""Every remedy that is offered is really what a re-run gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provenance.policy.cases import load_cases, run_case
from provenance.policy.decide import decide
from provenance.policy.pack import Pack
from provenance.policy.verdict import VERDICTS
from provenance.terms.catalogue import Catalogue
from tests.policy.conftest import make_sample, make_student

Ask = Callable[..., dict[str, Any]]


def test_renaming_is_offered_first_and_holds(ask: Ask) -> None:
    answer = ask(action="publish")
    assert answer["remedies"][0] == {
        "change": "name = Llama-acme-tutor",
        "text": 'Rename the student to "Llama-acme-tutor", so that its name begins as the terms ask.',
        "verdict_after": "allow-with-conditions",
    }
    again = ask(student=make_student(name="Llama-acme-tutor"), action="publish")
    assert again["verdict"] == "allow-with-conditions"
    assert again["remedies"] == []


def test_papers_that_help_only_together_are_offered_together(ask: Ask) -> None:
    answer = ask(make_sample("google/gemma-3-4b-it", generated_at="2025-06-01"), action="publish")
    assert [" and " in remedy["change"] for remedy in answer["remedies"]] == [True]


def test_dropping_places_is_offered_with_what_is_left(ask: Ask) -> None:
    student = make_student(
        base_model="tencent/Hunyuan-1.8B",
        territories=["EU", "US", "KR"],
        release_license="tencent-hunyuan-community",
        notices=["Tencent Hunyuan license"],
    )
    answer = ask(make_sample("tencent/hunyuan-a13b-instruct"), student, "publish")
    assert [remedy["change"] for remedy in answer["remedies"]] == ["territories = US"]


def test_an_agreement_is_offered_where_nothing_of_ones_own_helps(ask: Ask) -> None:
    answer = ask(make_sample("meta/llama-3-8b-instruct"))
    assert [remedy["change"] for remedy in answer["remedies"]] == ["agreement with meta"]
    assert "names this model, route, student and train" in answer["remedies"][0]["text"]


def test_nothing_is_offered_where_the_day_is_not_known(ask: Ask) -> None:
    assert ask(make_sample("openai/gpt-4o", "api", generated_at="unknown"))["remedies"] == []


@pytest.mark.slow
def test_no_remedy_of_any_case_makes_it_worse(catalogue: Catalogue, pack: Pack) -> None:
    for case in load_cases():
        answer = decide(
            case.sample,
            case.student,
            action=case.action,
            at=case.at,
            agreements=case.agreements,
            catalogue=catalogue,
            pack=pack,
        )
        for remedy in answer["remedies"]:
            assert VERDICTS.index(remedy["verdict_after"]) <= VERDICTS.index(answer["verdict"]), case.name
        assert run_case(case, catalogue, pack).passed


def test_a_copy_under_another_licence_is_offered_and_holds(ask: Ask) -> None:
    big = make_student(distribution="product", annual_revenue_usd=40_000_000, release_license="acme-licence")
    sample = make_sample("xai/grok-2", obtained_at="2025-09-01")
    assert not any(r["change"].startswith("copy under") for r in ask(sample, big)["remedies"])  # barred alike
    old = make_sample("01-ai/yi-34b", obtained_at="2024-01-01")
    answer = ask(old, big)
    assert answer["verdict"] == "deny"
    remedy = next(r for r in answer["remedies"] if r["change"] == "copy under 01ai-yi-apache")
    later = make_sample("01-ai/yi-34b", obtained_at="2024-05-30")
    assert ask(later, big)["verdict"] == remedy["verdict_after"] == "allow"


def test_generating_again_under_the_terms_in_force_is_offered(ask: Ask) -> None:
    answer = ask(make_sample("openai/gpt-4o", "api", generated_at="2024-06-01"))
    assert answer["verdict"] == "review"
    remedy = next(r for r in answer["remedies"] if r["change"].startswith("generate again"))
    assert remedy["change"] == "generate again under openai-services-agreement-2026-01-01"
    again = ask(make_sample("openai/gpt-4o", "api", generated_at="2026-01-01"))
    assert again["verdict"] == remedy["verdict_after"]
