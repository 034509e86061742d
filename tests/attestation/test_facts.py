"""Facts and fact classes: what policies see of a sample, and nothing that is its own alone."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.attestation.facts import fact_class_digest, sample_facts, teacher_name
from provenance.canonical import canonical_bytes, sha256_digest

PREDICATE: dict[str, Any] = {
    "capture": "cap_1",
    "dataset": "math",
    "teacher": {"provider": "openai", "model": "gpt-4o", "route": "api", "host": None},
    "role": "generator",
    "generated_at": "2026-11-20T10:11:12.345Z",
    "generated_in": "US",
    "account": {"holder": "acme", "plan": "api"},
    "prompt_origin": {"kind": "human", "ref": "survey-7", "license": "CC0-1.0"},
    "source_dataset": None,
    "evidence": "declared",
    "human_contribution": {"kind": "edit", "by": "a person"},
    "request_id": "req-1",
    "external_id": "x-1",
    "prompt_commitment": "sha256:" + "0" * 64,
    "parameters": {"temperature": 0.7},
}


def test_facts_are_cut_to_what_policies_can_see() -> None:
    assert sample_facts(PREDICATE) == {
        "teacher": {
            "provider": "openai",
            "model": "gpt-4o",
            "served_model": None,
            "revision": None,
            "obtained_at": None,
            "route": "api",
            "host": None,
        },
        "role": "generator",
        "generated_in": "US",
        "account": {"holder": "acme"},
        "source_dataset": None,
        "evidence": "declared",
        "generated_at": "2026-11-20T00:00:00Z",
        "prompt_origin": {"kind": "human", "license": "CC0-1.0"},
        "human_contribution": {"kind": "edit"},
    }


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    facts = sample_facts({"teacher": PREDICATE["teacher"], "generated_at": "2026-11-20T10:00:00Z"})
    unknown = {name for name, value in facts.items() if value is None}
    assert unknown == facts.keys() - {"teacher", "generated_at"}


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": "req-2"},
        {"external_id": None},
        {"dataset": "code"},
        {"capture": "cap_2"},
        {"parameters": {}},
        {"account": {"holder": "acme", "plan": "team"}},
        {"human_contribution": {"kind": "edit", "by": "another person"}},
        {"teacher": PREDICATE["teacher"] | {"weights_digest": "sha256:" + "2" * 64}},
        {"generated_at": "2026-11-20T23:59:59Z"},
        {"prompt_origin": {"kind": "human", "ref": "survey-8", "license": "CC0-1.0"}},
        {"prompt_commitment": "sha256:" + "1" * 64},
    ],
)
def test_what_is_a_samples_own_does_not_make_a_class(change: dict[str, Any]) -> None:
    assert fact_class_digest(sample_facts(PREDICATE | change)) == fact_class_digest(sample_facts(PREDICATE))


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": PREDICATE["teacher"] | {"model": "gpt-4o-mini"}},
        {"teacher": PREDICATE["teacher"] | {"host": "azure"}},
        {"role": "judge"},
        {"generated_in": None},
        {"account": None},
        {"account": {"holder": "other", "plan": "api"}},
        {"human_contribution": {"kind": "written"}},
        {"human_contribution": None},
        {"evidence": "recorded"},
        {"generated_at": "2026-11-21T00:00:00Z"},
        {"prompt_origin": None},
        {"prompt_origin": {"kind": "dataset", "license": "CC0-1.0"}},
        {"prompt_origin": {"kind": "human", "license": None}},
        {"source_dataset": {"ref": "hf/x", "license": None}},
    ],
)
def test_what_a_policy_can_see_makes_another_class(change: dict[str, Any]) -> None:
    assert fact_class_digest(sample_facts(PREDICATE | change)) != fact_class_digest(sample_facts(PREDICATE))


def test_a_class_is_named_by_the_digest_of_its_canonical_facts() -> None:
    facts = sample_facts(PREDICATE)
    backwards = dict(reversed(facts.items()))
    assert fact_class_digest(facts) == fact_class_digest(backwards) == sha256_digest(canonical_bytes(facts))


def test_a_teacher_is_named_by_provider_and_model() -> None:
    assert teacher_name(sample_facts(PREDICATE)) == "openai/gpt-4o"
