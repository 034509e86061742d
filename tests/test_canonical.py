"""Canonical JSON against the reference package and the RFC's test data; strict parsing; commitments."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from provenance.canonical import (
    MAX_SAFE_INTEGER,
    canonical_bytes,
    commit,
    format_base64,
    parse_base64,
    parse_canonical,
    parse_digest,
    parse_json,
    sha256_digest,
    verify_commitment,
)
from provenance.errors import DigestMismatchError, MalformedError

JCS = Path(__file__).parents[1] / ".." / "shared" / "vectors" / "jcs-rfc8785" / "testdata"
SALT = bytes(range(32))

# Numbers where writers differ: integral, tiny, great, at the edges of both notations.
awkward = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER),
    st.floats(1e-8, 1e-3),
    st.floats(1e14, 1e23),
    st.integers(-(10**6), 10**6).map(float),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), texts, awkward),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def has_great_digits(value: Any) -> bool:
    """Whether JCS writes an integer beyond 2^53 somewhere in it."""
    if isinstance(value, dict | list):
        return any(map(has_great_digits, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and value.is_integer() and MAX_SAFE_INTEGER < abs(value) < 1e21


@given(values)
def test_it_writes_what_the_reference_package_writes(value: Any) -> None:
    expected = rfc8785.dumps(value)
    if has_great_digits(value):
        with pytest.raises(MalformedError):
            canonical_bytes(value)
    else:
        assert canonical_bytes(value) == expected


@given(values.filter(lambda value: not has_great_digits(value)))
def test_what_it_writes_is_canonical_and_parses_back(value: Any) -> None:
    data = canonical_bytes(value)
    assert parse_canonical(data) == parse_json(data)
    assert canonical_bytes(parse_json(data)) == data


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e15, "1000000000000000"),
        (1e21, "1e+21"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        ({"\ufb33": 1, "\U0001f600": 2}, '{"\U0001f600":2,"\ufb33":1}'),
        ({"b": [True, None], "a": "\u20ac\n\x7f"}, '{"a":"\u20ac\\n\x7f","b":[true,null]}'),
    ],
)
def test_the_cases_where_writers_differ(value: Any, text: str) -> None:
    assert canonical_bytes(value) == text.encode()


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, 1e16, [1e20], 2**53, -(2**53), "\ud800", {"\udfff": 1}, {1: 2}, object(), b"x", {"a": {1}}],
)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        canonical_bytes(value)


def test_endless_nesting_is_refused_and_does_not_crash() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(MalformedError):
        canonical_bytes(value)
    with pytest.raises(MalformedError):
        parse_json(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.skipif(not JCS.is_dir(), reason="the JCS test data lie beside the project, not in it")
@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_the_test_data_of_rfc_8785(name: str) -> None:
    value = parse_json((JCS / "input" / f"{name}.json").read_bytes())
    expected = bytes.fromhex((JCS / "outhex" / f"{name}.txt").read_text())
    assert canonical_bytes(value) == expected
    assert parse_canonical(expected) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"x":{"a":1,"\\u0061":2}}',
        "9007199254740992",
        "-9007199254740992",
        "1" * 400,
        "[1e999]",
        "NaN",
        "[Infinity]",
        '"\\ud800"',
        '{"\\udc00":1}',
        "[1,]",
        "",
        "\ufeff{}",
        "[" * 65 + "]" * 65,
    ],
)
def test_strict_json_refuses(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_json(text)


def test_strict_json_accepts_any_spelling_that_is_not_ambiguous() -> None:
    assert parse_json(b' {"b": 1.50, "a": [1, "\\u0041"]} ') == {"b": 1.5, "a": [1, "A"]}
    assert parse_json("[" * 64 + "]" * 64)
    assert parse_json("9007199254740991") == MAX_SAFE_INTEGER


@pytest.mark.parametrize("data", [b'{"b":1,"a":2}', b"[1, 2]", b"1.0", b'"\\u0041"', b"[1]\n"])
def test_json_in_another_spelling_is_not_canonical(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_canonical(data)


def test_a_commitment_opens_to_its_text_alone() -> None:
    made = commit("provenance-ledger/prompt/v1", SALT, b"words")
    assert made == "sha256:" + hashlib.sha256(b"provenance-ledger/prompt/v1\x00" + SALT + b"words").hexdigest()
    verify_commitment(made, "provenance-ledger/prompt/v1", SALT, b"words")
    for domain, salt, data in [
        ("provenance-ledger/completion/v1", SALT, b"words"),
        ("provenance-ledger/prompt/v1", SALT[::-1], b"words"),
        ("provenance-ledger/prompt/v1", SALT, b"Words"),
    ]:
        with pytest.raises(DigestMismatchError):
            verify_commitment(made, domain, salt, data)
    with pytest.raises(MalformedError):
        commit("provenance-ledger/prompt/v1", b"short", b"words")


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "A" * 64, "sha512:" + "a" * 64, "a" * 64])
def test_other_digests_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_digest(text)


def test_a_digest_parses_back() -> None:
    assert parse_digest(sha256_digest(b"x")) == hashlib.sha256(b"x").digest()


@given(st.binary(max_size=40))
def test_base64_parses_back(data: bytes) -> None:
    assert parse_base64(format_base64(data)) == data


@pytest.mark.parametrize("text", ["YQ", "YQ==\n", "Y Q==", "YR==", "YQ==YQ==", "_w==", "é", None])
def test_loose_base64_is_refused(text: Any) -> None:
    with pytest.raises(MalformedError):
        parse_base64(text)
