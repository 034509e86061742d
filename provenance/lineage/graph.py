"""The lineage as a value: nodes, edges, and walks over them without recursion.

An edge leads from what was used (parent) to what was made of it (child). A walk may meet a ring, which only a claim can
make; it visits each node once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

Direction = Literal["ancestors", "descendants"]


class Node(NamedTuple):
    """One thing. Samples are folded: `dataset_id` and `fact_class_id` say which they are, `samples` how many."""

    id: int
    kind: str
    key: str
    name: str | None = None
    entry: int = 0
    dataset_id: int | None = None
    fact_class_id: int | None = None
    samples: int = 0
    tokens: int = 0


class Edge(NamedTuple):
    """`child` was made of `parent`; `samples` and `tokens` say how much of it, where that is counted."""

    parent: int
    child: int
    relation: str
    samples: int = 0
    tokens: int = 0


class Step(NamedTuple):
    """How a walk came to a node: how many edges from the start, and by which edge (None at a start)."""

    distance: int
    via: Edge | None


@dataclass(frozen=True)
class Graph:
    """The graph of one log size."""

    nodes: Mapping[int, Node]
    children: Mapping[int, Sequence[Edge]] = field(repr=False)
    parents: Mapping[int, Sequence[Edge]] = field(repr=False)

    def edges(self, node: int, direction: Direction) -> Sequence[Edge]:
        """The edges out of a node in one direction."""
        return (self.children if direction == "descendants" else self.parents).get(node, ())

    def walk(self, starts: Iterable[int], direction: Direction, depth: int | None = None) -> dict[int, Step]:
        """Every node that is reached, the starts among them, nearest first; shortest ways, in the order of ids."""
        seen = {start: Step(0, None) for start in starts if start in self.nodes}
        waiting = deque(seen)
        while waiting:
            node = waiting.popleft()
            distance = seen[node].distance + 1
            if depth is not None and distance > depth:
                break
            for edge in self.edges(node, direction):
                other = edge.child if direction == "descendants" else edge.parent
                if other not in seen:
                    seen[other] = Step(distance, edge)
                    waiting.append(other)
        return seen

    def find_path(self, start: int, end: int) -> list[Edge] | None:
        """A shortest way from `start` down to `end`; None if there is none."""
        seen = self.walk([start], "descendants")
        if end not in seen:
            return None
        path: list[Edge] = []
        while (via := seen[end].via) is not None:
            path.append(via)
            end = via.parent
        return path[::-1]

    @cached_property
    def rings(self) -> Sequence[Sequence[int]]:
        """All rings of the graph, sought once."""
        return self.find_rings()

    def find_rings(self) -> list[list[int]]:
        """Every set of nodes that are each other's ancestors (Tarjan's components), smallest id first.

        Ids are given in the order of entries, so a ring has an edge that leads back to an earlier one: only from there is sought.
        """
        search = _Tarjan(self)
        backward = (edge.child for edges in self.children.values() for edge in edges if edge.child <= edge.parent)
        for node in sorted(set(backward)):
            if node not in search.number:
                search.run(node)
        rings = [sorted(ring) for ring in search.rings if len(ring) > 1 or self._loops(ring[0])]
        return sorted(rings)

    def _loops(self, node: int) -> bool:
        return any(edge.child == node for edge in self.edges(node, "descendants"))


class _Tarjan:
    """Tarjan's search with a stack of its own, so that no chain of models is too long for it.

    Source: R. Tarjan, Depth-first search and linear graph algorithms, SIAM J. Comput. 1 (1972).
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.number: dict[int, int] = {}
        self.low: dict[int, int] = {}
        self.stack: list[int] = []
        self.held: set[int] = set()
        self.rings: list[list[int]] = []

    def run(self, root: int) -> None:
        work = [(root, iter(self._enter(root)))]
        while work:
            node, edges = work[-1]
            for edge in edges:
                if edge.child not in self.number:
                    work.append((edge.child, iter(self._enter(edge.child))))
                    break
                if edge.child in self.held:
                    self.low[node] = min(self.low[node], self.number[edge.child])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    self.low[above] = min(self.low[above], self.low[node])
                self._leave(node)

    def _enter(self, node: int) -> Sequence[Edge]:
        self.number[node] = self.low[node] = len(self.number)
        self.stack.append(node)
        self.held.add(node)
        return self.graph.edges(node, "descendants")

    def _leave(self, node: int) -> None:
        if self.low[node] != self.number[node]:
            return
        ring: list[int] = []
        while not ring or ring[-1] != node:
            ring.append(self.stack.pop())
            self.held.discard(ring[-1])
        self.rings.append(ring)


def build_graph(nodes: Iterable[Node], edges: Iterable[Edge]) -> Graph:
    """A graph of these nodes and of the edges whose both ends are among them."""
    return extend_graph(Graph({}, {}, {}), nodes, edges)


def extend_graph(before: Graph, nodes: Iterable[Node], edges: Iterable[Edge]) -> Graph:
    """The graph with these nodes and edges more; what it had is replaced by what comes under the same id or ends.

    It is the same as if it had been built of all at once. `before` stays as it is: others may be walking it.
    """
    held = {**before.nodes, **{node.id: node for node in nodes}}
    added: dict[int, list[Edge]] = {}
    above: dict[int, list[Edge]] = {}
    for edge in edges:
        if edge.parent in held and edge.child in held:
            added.setdefault(edge.parent, []).append(edge)
            above.setdefault(edge.child, []).append(edge)
    children = {**before.children, **{node: _merge(before.children.get(node), new) for node, new in added.items()}}
    parents = {**before.parents, **{node: _merge(before.parents.get(node), new) for node, new in above.items()}}
    return Graph(held, children, parents)


def _merge(before: Sequence[Edge] | None, new: Sequence[Edge]) -> Sequence[Edge]:
    if before is None:
        return sorted(new, key=lambda edge: edge[:3])
    found = {edge[:3]: edge for edge in (*before, *new)}
    return [found[key] for key in sorted(found)]
