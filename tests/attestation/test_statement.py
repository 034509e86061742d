"""in-toto statements of ours, and of others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.attestation.statement import (
    KINDS,
    Statement,
    Subject,
    format_statement,
    parse_in_toto,
    parse_statement,
    predicate_type,
)
from provenance.canonical import canonical_bytes
from provenance.errors import StatementError

SAID = Statement((Subject("sample", {"sha256": "a" * 64}),), "sample", {"capture": "c"})
BODY = json.loads(format_statement(SAID))

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)


@given(st.sampled_from(KINDS), texts, st.dictionaries(texts, st.one_of(texts, st.integers(-9, 9), st.none())))
def test_a_statement_parses_back(kind: str, name: str, predicate: dict[str, Any]) -> None:
    statement = Statement((Subject(name, {"sha256": "b" * 64}),), kind, predicate)
    assert parse_statement(format_statement(statement)) == statement


def test_it_says_what_in_toto_asks_for() -> None:
    assert BODY == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "sample", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://provenance-ledger.dev/sample/v1",
        "predicate": {"capture": "c"},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"subject": [{"name": "x"}]},
        {"subject": [{"name": 1, "digest": {"sha256": "a"}}]},
        {"subject": [{"name": "x", "digest": {"sha256": 1}}]},
        {"subject": ["x"]},
        {"predicateType": "https://provenance-ledger.dev/sample/v2"},
        {"predicateType": "https://provenance-ledger.dev/unknown/v1"},
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"predicateType": "sample"},
        {"predicateType": None},
        {"predicate": None},
        {"more": 1},
    ],
)
def test_another_form_is_refused_and_named(change: dict[str, Any]) -> None:
    with pytest.raises(StatementError) as caught:
        parse_statement(canonical_bytes(BODY | change))
    assert caught.value.errors[0].field.split(".")[0] == next(iter(change))


@pytest.mark.parametrize("data", [b"", b"[]", b'"x"', json.dumps(BODY).encode(), canonical_bytes(BODY) + b" "])
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(StatementError):
        parse_statement(data)


def test_what_cannot_be_written_is_refused() -> None:
    for statement in (
        Statement((), "sample", {}),
        Statement(SAID.subjects, "unknown", {}),
        Statement(SAID.subjects, "sample", {"n": float("nan")}),
    ):
        with pytest.raises(StatementError):
            format_statement(statement)
    with pytest.raises(StatementError):
        predicate_type("")


def test_a_statement_of_others_is_read_in_any_spelling() -> None:
    body = BODY | {"predicateType": "https://slsa.dev/provenance/v1"}
    assert parse_in_toto(json.dumps(body, indent=2).encode()).predicate_type == "https://slsa.dev/provenance/v1"
    with pytest.raises(StatementError):
        parse_in_toto(b'{"_type":"x","_type":"y"}')


@pytest.mark.external
def test_in_toto_attestation_reads_our_statements() -> None:
    foreign = pytest.importorskip("in_toto_attestation.v1.statement")
    pb = pytest.importorskip("in_toto_attestation.v1.statement_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    message = json_format.Parse(format_statement(SAID), pb.Statement())
    statement = foreign.Statement.copy_from_pb(message)
    statement.validate()
    assert statement.pb.predicate_type == predicate_type("sample")
    assert statement.pb.subject[0].digest["sha256"] == "a" * 64
