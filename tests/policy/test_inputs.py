from __future__ import annotations

import copy
import datetime as dt
from typing import Any

import pytest

from provenance.errors import MalformedError
from provenance.policy.inputs import validate_action, validate_agreement, validate_sample_facts, validate_student

SAMPLE: dict[str, Any] = {
    "dataset": "math",
    "teacher": {
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "served_model": None,
        "revision": None,
        "weights_digest": None,
        "route": "api",
        "host": "openai",
    },
    "role": "generator",
    "generated_at": "2026-11-24T10:00:00Z",
    "generated_in": "US",
    "account": {"holder": "acme", "plan": "api"},
    "parameters": {"temperature": 0.7},
    "usage": {"input_tokens": 12, "output_tokens": 90},
    "request_id": "r-1",
    "finish_reason": "stop",
    "prompt_origin": {"kind": "human", "ref": None, "license": "CC0-1.0"},
    "parents": [],
    "human_contribution": None,
    "external_id": None,
}


def with_fact(facts: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(facts)
    *parents, last = path.split(".")
    place = changed
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return changed


def test_the_sample_of_the_contract_passes() -> None:
    validate_sample_facts(SAMPLE)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("teacher.rout", "api"),
        ("teacher.route", "apis"),
        ("teacher.route", 3),
        ("teacher.provider", ""),
        ("teacher.provider", None),
        ("teacher.model", 4),
        ("teacher", "openai/gpt-4o"),
        ("teacher", "unknown"),
        ("generated_at", "24.11.2026"),
        ("generated_at", "2026-11-24T10:00:00"),
        ("generated_at", "2026-11-25"),
        ("generated_at", "2027-01-01T00:00:00Z"),
        ("teacher.obtained_at", "2026-12-01"),
        ("generated_in", "us"),
        ("generated_in", "USA"),
        ("role", "writer"),
        ("account", "acme"),
        ("account.owner", "acme"),
        ("prompt_origin.kind", "people"),
        ("evidence", "sworn"),
        ("scans.personal_data", "maybe"),
        ("colour", "red"),
    ],
)
def test_a_bad_sample_fact_is_named(path: str, value: Any) -> None:
    with pytest.raises(MalformedError) as caught:
        validate_sample_facts(with_fact(SAMPLE, path, value), today=dt.date(2026, 11, 24))
    assert any(error.field == f"sample.{path}" for error in caught.value.errors)
    assert all(error.expected for error in caught.value.errors)


def test_every_bad_fact_is_named_at_once() -> None:
    bad = with_fact(with_fact(SAMPLE, "role", "x"), "colour", "red")
    with pytest.raises(MalformedError) as caught:
        validate_sample_facts(bad)
    assert {error.field for error in caught.value.errors} == {"sample.role", "sample.colour"}


def test_the_text_of_a_whole_sample_is_let_through() -> None:
    validate_sample_facts({**SAMPLE, "prompt": [{"role": "user", "content": "hello"}], "completion": "hi"})


def test_a_provider_that_nobody_recorded_is_no_error() -> None:
    validate_sample_facts(with_fact(SAMPLE, "teacher.provider", "quiet-labs"))


@pytest.mark.parametrize("path", ["teacher.route", "generated_at", "generated_in", "account", "teacher.host", "scans"])
def test_any_fact_may_be_unknown(path: str) -> None:
    validate_sample_facts(with_fact(SAMPLE, path, "unknown"))


@pytest.mark.parametrize("value", [None, [], "sample", 3])
def test_facts_are_an_object(value: Any) -> None:
    with pytest.raises(MalformedError):
        validate_sample_facts(value)
    with pytest.raises(MalformedError):
        validate_student(value)
    with pytest.raises(MalformedError):
        validate_agreement(value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("use", "hobby"),
        ("distribution", "everywhere"),
        ("purpose", "chatting"),
        ("competes_with", "openai"),
        ("competes_with", [1]),
        ("territories", ["Germany"]),
        ("monthly_active_users", -1),
        ("monthly_active_users", True),
        ("annual_revenue_usd", "3m"),
        ("annual_revenue_usd", float("nan")),
        ("developer.country", "United States"),
        ("developer.nation", "US"),
        ("notices", "Built with Llama"),
        ("compete_with", []),
        ("training.gpu", "H100"),
        ("name", "acme\x00tutor"),
        ("name", "acme\ud800"),
        ("notices", ["Built with\x00Llama"]),
        ("developer.country", "XX"),
        ("territories", ["US", "ZZ"]),
    ],
)
def test_a_bad_student_fact_is_named(path: str, value: Any) -> None:
    with pytest.raises(MalformedError) as caught:
        validate_student(with_fact({"name": "x"}, path, value))
    assert caught.value.errors[0].field == f"student.{path}"


def test_a_student_of_whom_nothing_is_known_passes() -> None:
    validate_student({})
    validate_student(dict.fromkeys(("name", "use", "competes_with", "developer", "training"), "unknown"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("provider", None),
        ("document_digest", "sha256:12"),
        ("document_digest", "md5:" + "0" * 64),
        ("valid_from", "soon"),
        ("valid_to", "2025-12-31"),
        ("models", "gpt-4o"),
        ("scope", "all"),
    ],
)
def test_a_bad_agreement_is_named(path: str, value: Any) -> None:
    good = {"provider": "openai", "valid_from": "2026-01-01", "document_digest": "sha256:" + "0" * 64}
    validate_agreement(good)
    with pytest.raises(MalformedError) as caught:
        validate_agreement(with_fact(good, path, value))
    assert caught.value.errors[0].field == f"agreement.{path}"


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(MalformedError, match="one of train, release, publish, serve"):
        validate_action("sell")
