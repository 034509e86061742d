from __future__ import annotations

from collections import Counter

import pytest

from provenance.capture.collection.facts import make_facts
from provenance.capture.collection.names import load_names
from provenance.capture.collection.summary import parse_summaries
from provenance.policy.collection.compare import KINDS, Comparison, compare, count_kinds, cross_table
from provenance.policy.collection.judge import CollectionJudge
from provenance.policy.collection.upstream import NOT_COMPUTED, parse_classes
from provenance.policy.pack import load_pack
from provenance.terms.catalogue import load_catalogue
from tests.policy.collection.requests import CONSTANTS, make_request

EXPECTED: dict[str, tuple[str, str, set[str]]] = {
    "human-mit": ("commercial", "commercial", {"same"}),
    "human-various": ("unspecified", "academic-only", {"licence-unread"}),
    "human-nd": ("unspecified", "commercial", {"licence-unread"}),
    "human-tagged-nc": ("non-commercial", "commercial", {"sources-differ"}),
    "human-of-nc": ("non-commercial", "commercial", {"parent-inherits"}),
    "human-nc": ("non-commercial", "non-commercial", {"same"}),
    "human-of-nobody": ("unspecified", "commercial", {"parent-open"}),
    "gpt4-listed": ("review", "non-commercial", {"contract-counted-as-licence"}),
    "gpt4-not-listed": ("review", "commercial", {"contract-not-counted"}),
    "gpt4-nc": ("review", "non-commercial", {"contract-counted-as-licence", "data-set-licence-restricts"}),
    "hidden": ("review", "non-commercial", {"generator-unknown"}),
    "chatgpt-listed": ("review", "non-commercial", {"contract-counted-as-licence", "terms-partly-on-record"}),
    "bart": ("review", "commercial", {"generator-without-terms"}),
    "other": ("review", "commercial", {"generator-unknown"}),
    "llama2": ("deny", "commercial", {"generator-licence-bars"}),
    "llama2-nc": ("deny", "non-commercial", {"same"}),
    "mixtral": ("allow", "commercial", {"same"}),
    "mixtral-custom": ("review", "commercial", {"data-set-licence-open"}),
}


@pytest.fixture(scope="module")
def compared() -> dict[str, Comparison]:
    facts = make_facts(parse_summaries(make_request()["files"]), load_names())
    found = compare(facts, parse_classes(CONSTANTS), CollectionJudge(load_catalogue(), load_pack()))
    return {item.id: item for item in found}


@pytest.mark.parametrize("dataset", EXPECTED)
def test_each_kind_of_difference_is_told(compared: dict[str, Comparison], dataset: str) -> None:
    item = compared[dataset]
    assert (item.ours, item.upstream, set(item.kinds)) == EXPECTED[dataset]


def test_kinds_and_table_count_every_data_set(compared: dict[str, Comparison]) -> None:
    rows = {row["kind"]: row for row in count_kinds(list(compared.values()))}
    told = Counter(kind for _, _, kinds in EXPECTED.values() for kind in kinds)
    assert {kind: row["datasets"] for kind, row in rows.items()} == told
    assert all(row["words"] == KINDS[kind] for kind, row in rows.items())
    assert rows["contract-counted-as-licence"]["alone"] == 1
    assert rows["contract-counted-as-licence"]["upstream"] == {"non-commercial": 3}
    table = cross_table(list(compared.values()))
    assert sum(row["datasets"] for row in table) == len(EXPECTED)
    assert {"teacher_output": True, "ours": "deny", "upstream": "commercial", "datasets": 1} in table


def test_what_no_model_made_gets_no_verdict(compared: dict[str, Comparison]) -> None:
    assert compared["human-mit"].verdicts == {}
    assert set(compared["mixtral"].verdicts) == {"commercial", "research"}


def test_a_contract_of_another_does_not_turn_on_the_unknown_day(compared: dict[str, Comparison]) -> None:
    (verdict,) = compared["gpt4-listed"].teachers["commercial"]
    assert (verdict.days[0], verdict.days[-1]) == ("2023-03-14", "2024-05-31")
    assert "2023-11-14" in verdict.days  # the day on which other terms began
    assert set(verdict.by_verdict) == {"review"}
    rules = {reason["rule"] for reason in verdict.reasons}
    assert rules == {"terms.contract-of-another"}
    documents = {reason["document"] for reason in verdict.reasons}
    assert {"openai-tou-2023-03-14", "openai-business-terms-2023-11-14"} <= documents


def test_without_upstreams_classes_only_our_side_is_filled() -> None:
    facts = make_facts(parse_summaries(make_request()["files"]), load_names())
    found = compare(facts, None, CollectionJudge(load_catalogue(), load_pack()))
    assert {item.upstream for item in found} == {NOT_COMPUTED}
    assert not any(item.kinds for item in found)
    assert {item.id: item.ours for item in found} == {name: ours for name, (ours, _, _) in EXPECTED.items()}
