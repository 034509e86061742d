"""Records of PROV-JSON: typed, each once, and the same bytes in whatever order they were told."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from provenance.export.records import Records, qualified

RELATIONS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 2**53 - 1)), max_size=12)


def write(told: list[tuple[str, str, int]]) -> bytes:
    records = Records({"log": "https://log.example/"})
    for one, other, tokens in told:
        ends = {"activity": records.add("activity", one), "entity": records.add("entity", other)}
        records.relate("used", ends, tokens=tokens)
    return records.format()


@given(RELATIONS, st.randoms())
def test_the_order_of_telling_does_not_show(told: list[tuple[str, str, int]], random: Any) -> None:
    shuffled = list(told)
    random.shuffle(shuffled)
    assert write(told + told[:2]) == write(shuffled)
    assert len(json.loads(write(told)).get("used", {})) == len(set(told))


def test_values_are_typed_and_what_is_not_known_is_left_out() -> None:
    records = Records({})
    records.add("entity", "x", prov_label="a", tokens=2**40, license=None, terms=[], flag=True, both=["u", "u", "v"])
    records.add("entity", "x", prov_type=[qualified("provenance:Model")])
    assert json.loads(records.format())["entity"]["log:x"] == {
        "prov:label": "a",
        "prov:type": [{"$": "provenance:Model", "type": "prov:QUALIFIED_NAME"}],
        "provenance:tokens": {"$": str(2**40), "type": "xsd:long"},
        "provenance:flag": True,
        "provenance:both": ["u", "v"],
    }
