"""What a predicate must hold, kind by kind."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.attestation.predicates import FORMS, KEY_PURPOSES, PURPOSES, check_predicate, signing_purpose
from provenance.attestation.statement import KINDS
from provenance.canonical import parse_digest
from provenance.errors import MalformedError, StatementError

BATCH = {"capture": "c", "collector": "w", "count": 3, "root": "sha256:" + "a" * 64}


def test_every_kind_has_a_form_and_all_but_samples_a_key() -> None:
    assert FORMS.keys() == set(KINDS)
    assert PURPOSES.keys() == set(KINDS) - {"sample"}
    assert set(PURPOSES.values()) <= set(KEY_PURPOSES)
    with pytest.raises(StatementError):
        signing_purpose("sample")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("capture", ""), ("capture", None), ("capture", 1), ("count", -1), ("count", True), ("count", 1.0),
        ("root", "a" * 64), ("root", None),
    ],
)  # fmt: skip
def test_a_field_of_another_form_is_named(field: str, value: Any) -> None:
    check_predicate("batch", BATCH)
    with pytest.raises(StatementError) as caught:
        check_predicate("batch", BATCH | {field: value})
    assert caught.value.errors[0].field == field


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_missing_field_is_named(kind: str) -> None:
    first = FORMS[kind].split()[0].partition(":")[0]
    with pytest.raises(StatementError) as caught:
        check_predicate(kind, {})
    assert caught.value.errors[0].field == first


def test_unknown_is_written_and_never_left_out() -> None:
    access = {"actor": "a", "act": "token-create", "target": None, "reason": None, "at": "2026-11-24T10:00:00Z"}
    check_predicate("access", access | {"later": "fields are free"})
    for field, value in (("at", "2026-11-24"), ("at", "2026-11-24T10:00:00+00:00"), ("at", None)):
        with pytest.raises(StatementError):
            check_predicate("access", access | {field: value})
    del access["target"]
    with pytest.raises(StatementError, match="target is missing"):
        check_predicate("access", access)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StatementError):
        check_predicate("rumour", {})


@pytest.mark.parametrize(
    "value",
    ["sha256:" + "a" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 64 + "\n", "sha512:" + "a" * 64, "", None, 7, b"sha256:"],
)  # fmt: skip
def test_a_digest_field_takes_what_parse_digest_takes(value: Any) -> None:
    said = {"id": "x", "facts": {}, "digest": value}
    try:
        parse_digest(value)
    except MalformedError:
        with pytest.raises(StatementError, match="digest"):
            check_predicate("student", said)
    else:
        check_predicate("student", said)
