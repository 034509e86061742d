from __future__ import annotations

from typing import Any

import msgspec
import pytest

from provenance.canonical import canonical_bytes
from provenance.errors import MalformedError
from provenance.training.plan import Plan, code_digest, environment_digest, format_plan, list_environment, parse_plan

DIGEST = "sha256:" + "ab" * 32


def _plan(**changes: Any) -> Plan:
    fields = {"run_id": "r", "release_dir": "/r", "release_digest": DIGEST, "output_dir": "/o", "base_model_dir": "/b"}
    return Plan(**(fields | changes))


def test_a_plan_reads_back_and_its_bytes_are_canonical() -> None:
    plan = _plan(config={"epochs": 1.5, "layers": 3}, seed=9)
    data = format_plan(plan)
    assert parse_plan(data) == plan
    assert data == canonical_bytes(msgspec.to_builtins(plan))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("seed", {"seed": -1}),
        ("seed", {"seed": 2**32}),
        ("deadline_seconds", {"deadline_seconds": 0.0}),
        ("processes", {"processes": 0}),
        ("threads", {"threads": -1}),
        ("base_model_dir", {"base_model_dir": None}),
        ("base_model_dir", {"config": {"student": "scratch"}}),
        ("epochs", {"config": {"epochs": 0}}),
        ("run_id", {"run_id": ""}),
    ],
)
def test_a_bad_plan_is_refused_with_its_field(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_plan(format_plan(_plan(**changes)))
    assert field in {error.field for error in caught.value.errors}


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"run_id":1}', b"not json", b'{"run_id":"a","run_id":"b"}'])
def test_what_is_no_plan_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_plan(data)


def test_an_unknown_field_is_refused() -> None:
    body = msgspec.to_builtins(_plan()) | {"shell": "true"}
    with pytest.raises(MalformedError, match="shell"):
        parse_plan(canonical_bytes(body))


def test_a_digest_that_is_none_is_refused() -> None:
    with pytest.raises(MalformedError):
        parse_plan(format_plan(_plan(release_digest="sha256:12")))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("teacher_dir", {"recipe": "kd", "teacher_digest": "sha256:" + "1" * 64}),
        ("teacher_digest", {"recipe": "kd", "teacher_dir": "/models/t"}),
        ("teacher_digest", {"teacher_dir": "/models/t", "teacher_digest": "sha256:" + "1" * 64}),
        (
            "answers_dir",
            {"recipe": "kd", "teacher_dir": "/models/t", "teacher_digest": "sha256:" + "1" * 64, "answers_dir": "/a"},
        ),
        ("answers_dir", {"recipe": "on-policy", "teacher_dir": "/models/t", "teacher_digest": "sha256:" + "1" * 64}),
        ("student", {"recipe": "kd", "config": {"student": "scratch"}}),
    ],
)
def test_a_white_box_plan_names_its_teacher_and_no_other_does(field: str, changes: dict[str, Any]) -> None:
    changes = {"base_model_dir": "/models/b", "config": {"student": "base"}} | changes
    with pytest.raises(MalformedError) as caught:
        parse_plan(format_plan(_plan(**changes)))
    assert field in {error.field for error in caught.value.errors}


def test_code_and_environment_have_steady_digests() -> None:
    assert code_digest() == code_digest()
    assert environment_digest() == environment_digest()
    assert any(item.startswith("msgspec==") for item in list_environment())
