"""The quick look at samples against the strict readers: what it passes they pass too, and it says the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provenance.attestation.envelope import split_entry
from provenance.attestation.plain import opens, read_commitments
from provenance.attestation.predicates import check_predicate
from provenance.attestation.words import DOMAINS, verify_words
from provenance.canonical import canonical_bytes
from provenance.capture.entry import Binding, Stamp, write_entry
from provenance.errors import ProvenanceError
from tests.capture.any_sample import free_form, raw_samples, texts
from tests.store.logs import make_samples, raw_sample

STAMP = Stamp("cap_0123456789abcdef", "declared", "2026-11-24T10:00:00Z")
TERMS = [{"digest": f"sha256:{'1f' * 32}", "id": "made-up"}]
BINDING = Binding({}, f"sha256:{'0e' * 32}", msgspec.Raw(canonical_bytes(TERMS)))
SALTS = (bytes(range(32)), bytes(range(32, 64)))
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", 0, 1, -1, 1.0, -0.0, 2**53, 1e16, True, [], {}, [[]], {"é": 1}, "sha256:0", "x\ny", {"a": {}}]
)


def write(raw: dict[str, Any]) -> tuple[bytes, bytes]:
    (sample,) = make_samples(raw)
    entry, words, _ = write_entry(sample, STAMP, BINDING, SALTS)
    return entry, words


ENTRY, WORDS = write(raw_sample())


def read_strictly(entry: bytes) -> tuple[str, str] | None:
    """The commitments by the long way; None where the entry is refused."""
    try:
        statement, envelope = split_entry(entry)
        check_predicate(statement.kind, statement.predicate)
    except ProvenanceError:
        return None
    assert (statement.kind, envelope) == ("sample", None)
    return statement.predicate["prompt_commitment"], statement.predicate["completion_commitment"]


def opens_strictly(commitments: tuple[str, str], item: bytes) -> bool:
    said = dict(zip(("prompt_commitment", "completion_commitment"), commitments, strict=True))
    try:
        words = orjson.loads(item)
        for half in DOMAINS:
            verify_words(said, half, bytes.fromhex(words[f"{half}_salt"]), words[half])
    except (ProvenanceError, KeyError, TypeError, ValueError):
        return False
    return True


def never_passes_more(entry: bytes) -> None:
    found = read_commitments(entry)
    assert found is None or found == read_strictly(entry)


def test_what_the_recorder_writes_is_read_at_a_glance() -> None:
    found = read_commitments(ENTRY)
    assert found is not None
    assert found == read_strictly(ENTRY)
    assert opens(found, WORDS)


def is_flat(value: dict[str, Any] | None) -> bool:
    return not any(isinstance(item, dict | list | float) for item in (value or {}).values())


@given(raw=raw_samples)
def test_so_is_any_sample_with_flat_facts_and_no_calls_of_tools(raw: dict[str, Any]) -> None:
    entry, words = write(raw)
    found, expected = read_commitments(entry), read_strictly(entry)
    assert expected is not None
    said = json.loads(entry)["predicate"]
    free = {**(said["parameters"] or {}), **(said["human_contribution"] or {})}
    if is_flat(free) and all(name.isascii() for name in free):
        assert found == expected
    assert found in (None, expected)
    if b"tool_calls" not in words:
        assert opens(expected, words)
    assert opens_strictly(expected, words)


@given(at=st.integers(0, len(ENTRY) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_passed_where_the_long_way_refuses_it(at: int, bit: int) -> None:
    never_passes_more(ENTRY[:at] + bytes([ENTRY[at] ^ (1 << bit)]) + ENTRY[at + 1 :])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each place of a value within a JSON value."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]
    return []


@given(number=st.integers(0, 10_000), odd=ODD | free_form | texts, spelled=st.booleans())
@example(number=0, odd="https://in-toto.io/Statement/v2", spelled=False)
def test_nor_is_another_value_in_any_place(number: int, odd: Any, spelled: bool) -> None:
    value = orjson.loads(ENTRY)
    holder, key = (all_places := places(value))[number % len(all_places)]
    holder[key] = odd
    if spelled:
        never_passes_more(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))  # as canonical JSON, but for its numbers
    else:
        never_passes_more(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"dataset":', b'"dataset":"first","dataset":'),  # a field twice
        (b'"dataset":', b'"dataset": '),  # another spelling
        (b'"dataset":', b'"data":1,"dataset":'),  # a field that the quick look does not know
        (b'"evidence":"declared"', b'"evidence":"sworn"'),
        (b'"role":"generator"', b'"role":""'),
        (b'"logged_at":"2026', b'"logged_at":"\xd9\xa2026'),
        (b'"logged_at":"2026-11-24T10:00:00Z"', b'"logged_at":"2026-11-24T10:00:00Z "'),
        (b'"name":"sample"', b'"name":"\xff"'),
        (b"sample/v1", b"batch/v1"),
        (b'"prompt_commitment":"sha256:', b'"prompt_commitment":"sha512:'),
    ],
)
def test_what_it_is_not_sure_of_it_leaves_to_the_long_way(old: bytes, new: bytes) -> None:
    changed = ENTRY.replace(old, new)
    assert changed != ENTRY
    assert read_commitments(changed) is None


def test_free_form_that_is_deep_is_left_to_the_long_way() -> None:
    raw = raw_sample()
    raw["parameters"] = {"stop": ["a"]}
    entry, _ = write(raw)
    assert read_commitments(entry) is None
    assert read_strictly(entry) is not None


@given(at=st.integers(0, len(WORDS) - 1), bit=st.integers(0, 7))
def test_other_words_open_nothing(at: int, bit: int) -> None:
    commitments = read_strictly(ENTRY)
    assert commitments is not None
    changed = WORDS[:at] + bytes([WORDS[at] ^ (1 << bit)]) + WORDS[at + 1 :]
    assert not opens(commitments, changed) or opens_strictly(commitments, changed)
    assert opens_strictly(commitments, WORDS)
