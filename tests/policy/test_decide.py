from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from provenance.canonical import canonical_bytes
from provenance.errors import MalformedError
from provenance.policy.decide import decide_classes
from provenance.policy.pack import Pack
from provenance.terms.catalogue import Catalogue
from tests.policy.conftest import make_sample, make_student

Ask = Callable[..., dict[str, Any]]
CONTRACT_FIELDS = {
    "verdict", "conditions", "reasons", "documents", "unknown", "remedies", "policy", "terms_digest", "log_size",
    "not_legal_advice",
}  # fmt: skip
SMOLLM = "huggingface-smollm/smollm2-135m-instruct"


def test_the_answer_has_the_shape_of_the_contract(ask: Ask, catalogue: Catalogue, pack: Pack) -> None:
    answer = ask(log_size=77)
    assert set(answer) >= CONTRACT_FIELDS
    assert set(answer["conditions"][0]) >= {"type", "requirement", "status", "document", "clause"}
    assert set(answer["reasons"][0]) == {"rule", "effect", "document", "clause", "route", "text", "facts"}
    assert set(answer["documents"][0]) >= {"id", "title", "version", "effective_from", "effective_to", "verified"}
    assert set(answer["remedies"][0]) == {"change", "text", "verdict_after"}
    assert answer["policy"]["digest"] == pack.digest
    assert answer["terms_digest"] == catalogue.digest
    assert answer["log_size"] == 77
    assert answer["not_legal_advice"] is True
    canonical_bytes(answer)


def test_an_answer_speaks_of_our_reading_and_never_of_legality(ask: Ask) -> None:
    for teacher, route in (("openai/gpt-4o", "api"), ("meta/llama-3-8b", "weights"), (SMOLLM, "weights")):
        answer = ask(make_sample(teacher, route), make_student(competes_with=["openai"]))
        for text in [reason["text"] for reason in answer["reasons"]] + [r["text"] for r in answer["remedies"]]:
            assert not any(word in text.lower() for word in ("lawful", "legal ", "compliant", "owned by"))


def test_the_demo_of_a_bar_names_document_clause_and_route(ask: Ask) -> None:
    answer = ask(make_sample("openai/gpt-4o", "api"), make_student(competes_with=["openai"]))
    assert answer["verdict"] == "deny"
    reason = answer["reasons"][0]
    assert (reason["document"], reason["clause"]) == ("openai-services-agreement-2026-01-01", "3.3(e)")
    assert (reason["route"], reason["effect"]) == ("contract", "deny")
    assert reason["facts"]["competes_with"] == ["openai"]


def test_the_same_outputs_by_three_ways_give_three_answers(ask: Ask) -> None:
    student = make_student(competes_with=["openai"])
    own = ask(make_sample("openai/gpt-4o", "api"), student)
    bought = ask(make_sample("openai/gpt-4o", "reseller", host="some-router"), student)
    found = ask(make_sample("openai/gpt-4o", "dataset", source_dataset={"ref": "x", "license": "CC0-1.0"}), student)
    assert [a["verdict"] for a in (own, bought, found)] == ["deny", "review", "review"]
    assert len({a["reasons"][0]["rule"] for a in (own, bought, found)}) == 3


def test_facts_that_a_what_if_cannot_carry_are_listed_and_do_not_block(ask: Ask) -> None:
    answer = ask(make_sample(SMOLLM))
    assert answer["verdict"] == "allow"
    assert {"evidence-grade", "personal-data-scan", "export-screening"} <= set(answer["not_assessed"])
    known = make_sample(SMOLLM, evidence="recorded", scans={"personal_data": "clear"})
    assert not {"evidence-grade", "personal-data-scan"} & set(ask(known)["not_assessed"])


def test_unknown_names_only_what_would_change_the_verdict(ask: Ask) -> None:
    vague = {"name": "x", "developer": {"name": "acme"}, "base_model": None}
    assert ask(make_sample(SMOLLM), vague, "publish")["unknown"] == []
    llama = ask(make_sample(), vague, "publish")
    assert llama["verdict"] == "deny"  # the name is known, and does not begin as asked
    assert llama["unknown"] == []
    unnamed = ask(make_sample(), {"developer": {"name": "acme"}, "base_model": None}, "publish")
    assert unnamed["verdict"] == "review"
    assert unnamed["unknown"] == ["name", "monthly_active_users"]
    of_no_base = ask(make_sample(), {"developer": {"name": "acme"}}, "publish")
    assert of_no_base["unknown"] == ["name", "base_model", "notices", "monthly_active_users", "purpose"]


def test_a_condition_that_turns_on_an_unknown_fact_says_on_which(ask: Ask) -> None:
    answer = ask(make_sample(), make_student(distribution="unknown"))
    condition = next(c for c in answer["conditions"] if c["type"] == "name-prefix")
    assert (condition["status"], condition["unknown"]) == ("unknown", ["distribution"])


def test_release_is_blocked_no_more_than_training(ask: Ask) -> None:
    assert ask(action="release")["verdict"] == ask(action="train")["verdict"] == "allow-with-conditions"
    assert ask(action="publish")["verdict"] == ask(action="serve")["verdict"] == "deny"


def test_a_future_sample_is_refused_where_today_is_known(ask: Ask) -> None:
    with pytest.raises(MalformedError, match="not in the future"):
        ask(make_sample(generated_at="2026-11-25"), today=dt.date(2026, 11, 24))
    with pytest.raises(MalformedError, match="not in the future"):
        ask(make_sample(generated_at="2026-11-25T00:00:00Z"), at="2026-11-24")
    assert ask(make_sample(generated_at="2026-11-24T23:00:00Z"), at="2026-11-24")["verdict"]


def test_a_bad_day_of_decision_is_refused(ask: Ask) -> None:
    with pytest.raises(MalformedError, match="at: "):
        ask(at="tomorrow")


def test_the_day_of_decision_does_not_move_the_terms(ask: Ask) -> None:
    sample = make_sample("google/gemma-3-4b-it", generated_at="2025-06-01")
    later = ask(sample, at=dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
    assert [d["id"] for d in later["documents"]] == ["google-gemma-terms-2025-03-24"]


def test_many_classes_are_as_strict_as_the_strictest(catalogue: Catalogue, pack: Pack) -> None:
    classes = [
        ("sha256:aa", make_sample(SMOLLM), 60, 600),
        ("sha256:bb", make_sample(), 30, 300),
        ("sha256:cc", make_sample("openai/gpt-4o", "api"), 10, 100),
    ]
    student = make_student(competes_with=["openai"])
    decision = decide_classes(classes, student, at=dt.date(2026, 11, 24), catalogue=catalogue, pack=pack, log_size=9)
    assert decision.verdict == decision.answer["verdict"] == "deny"
    assert [item.verdict for item in decision.classes] == ["allow", "allow-with-conditions", "deny"]
    assert decision.allowed == ["sha256:aa", "sha256:bb"]
    assert decision.counts["deny"] == {"classes": 1, "samples": 10, "tokens": 100}
    drop = decision.answer["remedies"][0]
    assert (drop["samples"], drop["tokens_share"], drop["verdict_after"]) == (10, 0.1, "allow-with-conditions")
    assert drop["classes"] == ["sha256:cc"]
    kept = [item for item in classes if item[0] not in drop["classes"]]
    assert decide_classes(kept, student, catalogue=catalogue, pack=pack).verdict == drop["verdict_after"]


def test_no_class_at_all_is_no_permission(catalogue: Catalogue, pack: Pack) -> None:
    decision = decide_classes([], make_student(), catalogue=catalogue, pack=pack)
    assert decision.verdict == "review"
    assert decision.answer["remedies"] == []
