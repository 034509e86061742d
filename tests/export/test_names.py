"""Names survive whatever stands in them, and no two things share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.export.names import decode, encode, local_name, log_namespace
from tests.export.telling import HOSTILE

NCNAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")


@given(st.text())
def test_a_name_gives_its_key_back_and_holds_nothing_that_needs_an_escape(key: str) -> None:
    assert decode(encode(key)) == key
    assert NCNAME.fullmatch(local_name("model", key))
    assert not local_name("model", key).endswith(".")


@given(st.text(), st.text())
def test_two_keys_never_share_a_name(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_key_is_told_apart_from_what_it_looks_like(key: str) -> None:
    assert decode(encode(key)) == key
    assert encode(encode(key)) != encode(key) or encode(key) == key


def test_names_are_readable_where_they_can_be() -> None:
    assert local_name("release", "rel_1f") == "release-rel_1f"
    assert local_name("name", "openai/gpt-4.1") == "name-openai.2Fgpt-4.2E1"
    assert log_namespace("acme.example/log").endswith("/log/acme.example%2Flog/")
