from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.capture.collection.facts import make_facts
from provenance.capture.collection.names import load_names
from provenance.capture.collection.parents import Parent, find_cycles, resolve_parents, trace_ancestors
from provenance.capture.collection.summary import parse_summaries
from provenance.errors import MalformedError
from tests.capture.collection.summaries import one_file

NAMES = load_names()
Edges = dict[str, list[str]]


def resolve(files: dict[str, object], child: str) -> dict[str, Parent]:
    return {parent.name: parent for parent in resolve_parents(parse_summaries(files), NAMES)[child]}


def test_a_parent_is_known_by_table_by_collection_or_by_address_and_unknown_else() -> None:
    hub = {"metadata": {"HF Dataset": "somebody/questions"}}
    said = ["databricks_DOLLY 15k", "Made_Parent", "https://www.huggingface.co/datasets/somebody/questions?x=1",
            "https://example.org/set/", "Never Heard Of"]  # fmt: skip
    found = resolve(one_file({"made-parent": {}}, child={"parents": said}, hub=hub), "child")
    assert [(found[name].state, found[name].ref, found[name].datasets) for name in said] == [
        ("known", "Dolly 15k", ()),
        ("known", "Made_Parent", ("made-parent",)),
        ("address", "huggingface.co/datasets/somebody/questions", ("hub",)),
        ("address", "example.org/set", ()),
        ("unknown", None, ()),
    ]


def test_two_names_of_one_data_set_lead_to_it_by_the_table() -> None:
    files = one_file({"natural questions": {}}, child={"parents": ["NQ"]})
    assert resolve(files, "child")["NQ"].datasets == ("natural questions",)


def test_a_name_that_fits_several_leads_to_all_and_to_itself_only_if_nothing_else_fits() -> None:
    files = one_file(part_of="Alpaca", one={"parents": ["alpaca"]}, two={}) | one_file(snli={"parents": ["SNLI"]})
    assert resolve(files, "one")["alpaca"].datasets == ("two",)
    assert resolve(files, "snli")["SNLI"].datasets == ("snli",)


def to_parents(edges: Edges) -> dict[str, tuple[Parent, ...]]:
    return {child: (Parent("p", "known", "p", tuple(targets)),) for child, targets in edges.items()}


def reachable(edges: Edges, start: str) -> set[str]:
    found: set[str] = set()
    waiting = [*edges.get(start, [])]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += edges.get(node, [])
    return found


NODES = st.sampled_from("abcdefg")


@given(st.dictionaries(NODES, st.lists(NODES, max_size=3)))
def test_cycles_are_the_data_sets_that_reach_themselves(edges: Edges) -> None:
    groups = find_cycles(to_parents(edges))
    reach = {node: reachable(edges, node) for node in edges}
    expected = {tuple(sorted({o for o in reach[n] if n in reach.get(o, ())} | {n})) for n in edges if n in reach[n]}
    assert groups == sorted(expected)


@given(st.dictionaries(NODES, st.lists(NODES, max_size=3)), NODES)
def test_ancestors_are_what_can_be_reached(edges: Edges, start: str) -> None:
    assert set(trace_ancestors(start, to_parents(edges))[1]) == reachable(edges, start) - {start}


def test_names_that_everything_bears_are_refused_before_they_make_a_square() -> None:
    same = {f"set{number}": {"Dataset Name": "the same", "parents": ["the same"]} for number in range(1_000)}
    with pytest.raises(MalformedError, match=r"Made\.json: set\d+\.Derived from Datasets"):
        resolve_parents(parse_summaries(one_file(same)), NAMES)


def test_a_chain_whose_ancestors_make_a_square_is_refused() -> None:
    chain = {f"set{number}": {"parents": [f"set{number + 1}"]} for number in range(2_500)}
    with pytest.raises(MalformedError, match="lead to at most"):
        make_facts(parse_summaries(one_file(chain)), NAMES)


def test_a_chain_as_long_as_a_collection_is_walked() -> None:
    length = 5_000
    chain = {str(n): [str(n + 1)] for n in range(length)} | {str(length): ["0"]}
    (group,) = find_cycles(to_parents(chain))
    assert len(group) == length + 1
