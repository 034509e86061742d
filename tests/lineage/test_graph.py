"""Walks and rings of the graph as a value, against the plainest definition of each."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from provenance.lineage.graph import Edge, Graph, Node, build_graph, extend_graph

SIZE = 8
PAIRS = st.sets(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)), max_size=20)


def make(pairs: set[tuple[int, int]]) -> Graph:
    nodes = [Node(number, "model", f"m{number}") for number in range(SIZE)]
    return build_graph(nodes, [Edge(parent, child, "parent") for parent, child in sorted(pairs)])


def closure(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """What is reached from what by at least one edge."""
    reached = set(pairs)
    while more := {(a, d) for a, b in reached for c, d in pairs if b == c} - reached:
        reached |= more
    return reached


@given(PAIRS, st.integers(0, SIZE - 1))
def test_a_walk_reaches_what_the_closure_says_in_both_directions(pairs: set[tuple[int, int]], start: int) -> None:
    graph, reached = make(pairs), closure(pairs)
    assert set(graph.walk([start], "descendants")) == {start} | {b for a, b in reached if a == start}
    assert set(graph.walk([start], "ancestors")) == {start} | {a for a, b in reached if b == start}


@given(PAIRS, st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_a_path_is_made_of_edges_and_is_as_short_as_the_walk_says(
    pairs: set[tuple[int, int]], start: int, end: int
) -> None:
    graph = make(pairs)
    path = graph.find_path(start, end)
    if path is None:
        assert start != end
        assert (start, end) not in closure(pairs)
        return
    assert all((edge.parent, edge.child) in pairs for edge in path)
    assert all(before.child == after.parent for before, after in pairwise(path))
    assert [start, *(edge.child for edge in path)][-1] == end
    assert len(path) == graph.walk([start], "descendants")[end].distance


@given(PAIRS)
def test_rings_are_the_sets_whose_members_reach_each_other(pairs: set[tuple[int, int]]) -> None:
    reached = closure(pairs)
    ringed = {a for a, b in reached if a == b}
    expected = {frozenset({a} | {b for b in ringed if (a, b) in reached and (b, a) in reached}) for a in ringed}
    assert {frozenset(ring) for ring in make(pairs).find_rings()} == expected


@given(PAIRS, st.integers(0, SIZE), st.integers(0, 20))
def test_a_graph_that_is_carried_on_is_the_one_that_is_built_at_once(
    pairs: set[tuple[int, int]], nodes: int, edges: int
) -> None:
    told, known = sorted(pairs, key=max), [Node(number, "samples", f"m{number}", samples=1) for number in range(SIZE)]
    first = [Edge(parent, child, "parent", 1) for parent, child in told[:edges] if max(parent, child) < nodes]
    before = build_graph(known[:nodes], first)
    kept = (dict(before.nodes), dict(before.children), dict(before.parents))
    grown = [node._replace(samples=2) for node in known]
    after = extend_graph(before, grown, [Edge(parent, child, "parent", 2) for parent, child in told])
    assert after == build_graph(grown, [Edge(parent, child, "parent", 2) for parent, child in sorted(pairs)])
    assert (before.nodes, before.children, before.parents) == kept


def test_depth_cuts_a_walk() -> None:
    graph = make({(0, 1), (1, 2), (2, 3)})
    assert set(graph.walk([0], "descendants", depth=2)) == {0, 1, 2}
    assert set(graph.walk([0], "descendants", depth=0)) == {0}


def test_a_chain_of_a_hundred_thousand_generations_is_no_recursion() -> None:
    size = 100_000
    nodes = [Node(number, "model", str(number)) for number in range(size)]
    edges = [Edge(number, number + 1, "base") for number in range(size - 1)]
    assert build_graph(nodes, edges).find_rings() == []
    ring = build_graph(nodes, [*edges, Edge(size - 1, 0, "base")])
    assert [len(found) for found in ring.find_rings()] == [size]
    assert len(ring.walk([0], "ancestors")) == size


def test_an_edge_without_its_nodes_is_none() -> None:
    graph = build_graph([Node(1, "model", "a")], [Edge(1, 2, "parent"), Edge(2, 1, "parent")])
    assert not graph.children
    assert not graph.parents
