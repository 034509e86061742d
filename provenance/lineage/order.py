"""The ancestors of some nodes in an order in which parents come before what was made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provenance.lineage.graph import Graph


@dataclass(frozen=True)
class Order:
    """`sorted` nodes, parents first; `ringed` are those in a ring, or below one, by id."""

    sorted: Sequence[int]
    ringed: Sequence[int]


def order_ancestors(graph: Graph, starts: Iterable[int]) -> Order:
    """The starts and all their ancestors (Kahn's order)."""
    held = graph.walk(starts, "ancestors")
    waits = {node: sum(edge.parent in held for edge in graph.edges(node, "ancestors")) for node in held}
    ready = sorted(node for node, count in waits.items() if count == 0)
    done: list[int] = []
    while ready:
        node = ready.pop()
        done.append(node)
        for edge in graph.edges(node, "descendants"):
            if edge.child in waits:
                waits[edge.child] -= 1
                if waits[edge.child] == 0:
                    ready.append(edge.child)
    return Order(done, sorted(set(held) - set(done)))
