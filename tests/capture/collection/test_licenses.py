from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.capture.collection.licenses import STATES, compare_claims
from provenance.capture.collection.names import USES, load_names
from provenance.capture.collection.summary import SELF_REPORTED, SOURCES, Claim

NAMES = load_names()
SAID = ["MIT License", "mit license", "CC BY-NC 4.0", "Academic Research Purposes Only", "No License", "Custom", "Unspecified", "",
        "OpenAI", "A licence nobody knows"]  # fmt: skip


def claims(**by_source: list[str]) -> list[Claim]:
    return [Claim(source.replace("_", "-"), name) for source, names in by_source.items() for name in names]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({}, "none"),
        ({"self_reported": ["Unspecified"], "github": ["", "None"]}, "none"),
        ({"self_reported": ["OpenAI"]}, "none"),
        ({"self_reported": ["MIT License"]}, "one-source"),
        ({"self_reported": ["Unspecified"], "github": ["MIT License"]}, "one-source"),
        ({"self_reported": ["MIT License"], "hugging_face": ["MIT"]}, "agree"),
        ({"self_reported": ["MIT License", "OpenAI"], "hugging_face": ["MIT License"]}, "agree"),
        ({"self_reported": ["MIT License"], "hugging_face": ["Apache License 2.0"]}, "differ"),
        ({"self_reported": ["MIT License", "CC BY 4.0"], "hugging_face": ["MIT License"]}, "differ"),
    ],
)
def test_sources_agree_differ_or_are_silent(said: dict[str, list[str]], state: str) -> None:
    assert compare_claims(claims(**said), NAMES).state == state


def test_terms_of_a_provider_are_no_licence() -> None:
    found = compare_claims(claims(self_reported=["OpenAI", "MIT License"]), NAMES)
    assert [item.spdx for item in found.named] == ["MIT"]
    assert [(item.provider, item.name) for item in found.provider_terms] == [("openai", "OpenAI")]
    assert (found.own_use, found.use) == ("commercial", "commercial")


def test_an_unknown_name_is_kept_and_permits_nothing() -> None:
    found = compare_claims(claims(self_reported=["A licence nobody knows"]), NAMES)
    assert [(item.name, item.spdx, item.known) for item in found.named] == [("A licence nobody knows", None, False)]
    assert found.use == "unspecified"


def test_another_source_restricts_and_never_clears() -> None:
    restricted = compare_claims(claims(self_reported=["MIT License"], papers_with_code=["CC BY-NC 4.0"]), NAMES)
    assert (restricted.own_use, restricted.use) == ("commercial", "non-commercial")
    cleared = compare_claims(claims(self_reported=["Unspecified"], hugging_face=["MIT License"]), NAMES)
    assert cleared.use == "unspecified"


@given(st.lists(st.tuples(st.sampled_from(SOURCES), st.sampled_from(SAID)), max_size=8), st.sampled_from(SOURCES))
def test_one_more_claim_never_permits_more_unless_its_maker_makes_it(pairs: list[tuple[str, str]], source: str) -> None:
    before = compare_claims([Claim(*pair) for pair in pairs], NAMES)
    assert before.state in STATES
    for name in SAID:
        after = compare_claims([*(Claim(*pair) for pair in pairs), Claim(source, name)], NAMES)
        if source != SELF_REPORTED or any(origin == SELF_REPORTED and said != "OpenAI" for origin, said in pairs):
            assert USES.index(after.use) >= USES.index(before.use)
