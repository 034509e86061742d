"""Answer ancestors, descendants and paths in words: each node with its label and the way on which it was reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError
from provenance.lineage.graph import Direction, Edge, Graph, Node
from provenance.lineage.load import find_start, load_graph
from provenance.store.lineage import name_classes, name_releases
from provenance.store.log import get_head

MAX_DEPTH = 100_000
MAX_SHOWN = 10_000
DIRECTIONS = ("ancestors", "descendants")


class Labels:
    """What nodes are called, read once for a whole answer."""

    def __init__(self, session: Session) -> None:
        self.datasets, self.classes = name_classes(session)
        self.releases = name_releases(session)

    def reference(self, node: Node) -> str:
        """A reference by which the node can be asked for again; for samples, that of their class."""
        if node.kind == "samples":
            return f"fact-class:{self.classes[node.fact_class_id or 0][0]}"
        return f"{'model' if node.kind == 'name' else node.kind}:{node.key}"

    def text(self, node: Node) -> str:
        """The node in words."""
        if node.kind == "samples":
            return f"{self.classes[node.fact_class_id or 0][1]} in {self.datasets[node.dataset_id or 0]}"
        if node.kind == "outside":
            return "parents that are not on record"
        return node.name or self.releases.get(node.key) or node.key

    def node(self, node: Node) -> dict[str, Any]:
        """The node as answers show it; `id` holds within this log only."""
        said: dict[str, Any] = {"id": node.id, "kind": node.kind, "ref": self.reference(node), "label": self.text(node)}
        said["entry"] = node.entry
        if node.kind == "samples":
            digest, teacher, facts = self.classes[node.fact_class_id or 0]
            said |= {"dataset": self.datasets[node.dataset_id or 0], "fact_class": digest, "teacher": teacher}
            said |= {"route": facts["teacher"]["route"], "samples": node.samples, "tokens": node.tokens}
        return said


def format_edge(edge: Edge) -> dict[str, Any]:
    """An edge as answers show it; its ends are ids of nodes of the same answer."""
    return {
        "parent": edge.parent,
        "child": edge.child,
        "relation": edge.relation,
        "samples": edge.samples,
        "tokens": edge.tokens,
    }


def check_direction(value: str) -> Direction:
    """One of the two directions.

    Raises:
        MalformedError: another word.
    """
    if value == "ancestors":
        return "ancestors"
    if value == "descendants":
        return "descendants"
    expected = " or ".join(DIRECTIONS)
    raise MalformedError(f"direction: expected {expected}", FieldError("direction", value, expected))


def trace(
    session: Session, root: str, direction: Direction, *, depth: int | None = None, limit: int = 1000
) -> dict[str, Any]:
    """What `root` was made from, or what was made of it: the `limit` nearest, and how many there are.

    Raises:
        MalformedError: a depth or limit out of range, or no reference.
        NotFoundError: nothing of that name.
    """
    _check_range("depth", depth, 0, MAX_DEPTH)
    _check_range("limit", limit, 1, MAX_SHOWN)
    graph, labels = load_graph(session), Labels(session)
    starts = find_start(session, root, graph)
    reached = graph.walk(starts, direction, depth)
    shown = list(reached)[:limit]
    kinds: dict[str, int] = {}
    for number in reached:
        kind = graph.nodes[number].kind
        kinds[kind] = kinds.get(kind, 0) + 1
    nodes = []
    for number in shown:
        step = reached[number]
        said = {**labels.node(graph.nodes[number]), "distance": step.distance}
        nodes.append({**said, "via": format_edge(step.via) if step.via else None})
    return {
        "root": root,
        "direction": direction,
        "depth": depth,
        "log_size": get_head(session).size,
        "total": len(reached),
        "kinds": dict(sorted(kinds.items())),
        "left_out": len(reached) - len(shown),
        "nodes": nodes,
        "edges": [format_edge(edge) for edge in edges_between(graph, shown)],
        "rings": list_rings(graph, labels, shown),
    }


def _check_range(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        expected = f"{low} to {high}"
        raise MalformedError(f"{name}: expected {expected}", FieldError(name, value, expected))


def edges_between(graph: Graph, nodes: Sequence[int]) -> Iterable[Edge]:
    """Every edge whose two ends are among the nodes."""
    held = set(nodes)
    return [edge for node in nodes for edge in graph.edges(node, "descendants") if edge.child in held]


def list_rings(graph: Graph, labels: Labels, nodes: Sequence[int]) -> list[dict[str, Any]]:
    """Rings among the nodes. One of samples alone is of their folding; any other is claimed, as no entry of ours makes one."""
    held = set(nodes)
    rings = [ring for ring in graph.rings if held & set(ring)]
    return [
        {
            "claimed": any(graph.nodes[node].kind != "samples" for node in ring),
            "members": [labels.reference(graph.nodes[node]) for node in ring],
        }
        for ring in rings
    ]


def trace_path(session: Session, start: str, end: str) -> dict[str, Any]:
    """A shortest way from one thing down to the other; where there is none, the way up; else `steps` is null."""
    graph, labels = load_graph(session), Labels(session)
    starts, ends = find_start(session, start, graph), find_start(session, end, graph)
    found, turned = _shortest(graph, starts, ends), False
    if found is None:
        found, turned = _shortest(graph, ends, starts), True
    answer: dict[str, Any] = {"from": start, "to": end, "log_size": get_head(session).size}
    if found is None:
        return {**answer, "direction": None, "nodes": [], "steps": None}
    first, path = found
    numbers = [first, *(edge.child for edge in path)]
    return {
        **answer,
        "direction": "ancestors" if turned else "descendants",
        "nodes": [labels.node(graph.nodes[number]) for number in numbers],
        "steps": [format_edge(edge) for edge in path],
    }


def _shortest(graph: Graph, starts: Sequence[int], ends: Sequence[int]) -> tuple[int, list[Edge]] | None:
    seen = graph.walk(starts, "descendants")
    reached = [end for end in ends if end in seen]
    if not reached:
        return None
    node = min(reached, key=lambda end: (seen[end].distance, end))
    path: list[Edge] = []
    while (via := seen[node].via) is not None:
        path.append(via)
        node = via.parent
    return node, path[::-1]
