"""What a tainted start reached: forward through the lineage, any number of times round.

- Generation 0 holds the start itself ("direct"); each model that is passed through adds one ("inherited"). A thing is
  reached in the smallest generation that leads to it, so a ring of claims ends by itself.
- Nothing is left out for its size, and nothing depends on when it is asked: only on entries below the log size, so the same
  list can be made again from the entries alone (`recall.prove`).
- Single samples reach the releases that hold them, exactly; what was made of them as parents is counted by class, whole:
  rather too much than too little.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlmodel import Session, col, func, select

from provenance.lineage.graph import Edge, Graph
from provenance.lineage.load import load_graph
from provenance.policy.verdict import PERMITTING
from provenance.recall.source import Start
from provenance.store.lineage import normal_name
from provenance.store.ranges import IndexSet
from provenance.store.samples import Part
from provenance.store.tables import Dataset, DecisionClass, Release, SampleRow

RELEASED = ("allowed", "partial")
MODELS = frozenset({"model", "name"})
PASSES_A_MODEL = frozenset({"generated", "base", "parent"})


@dataclass
class Walk:
    """What was reached: the generation of each class of a dataset, release, run, model and report.

    `tainted` are the tokens of a release that single samples taint; `whole` are the releases that were the start.
    """

    size: int
    parts: dict[Part, int] = field(default_factory=dict)
    releases: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    reports: dict[str, int] = field(default_factory=dict)
    tainted: Mapping[str, int] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()


def walk_forward(session: Session, start: Start, log_size: int) -> Walk:
    """Everything that `start` reached below `log_size`.

    Raises:
        UnavailableError: the index is older than the lineage's tables.
    """
    graph = load_graph(session, log_size)
    parts = _parts_of(session, start.indices, log_size)
    tainted = _releases_of_parts(session, parts, start.indices, log_size)
    nodes = _start_nodes(graph, start, tainted)
    children = [edge.child for node in _slices(graph, parts) for edge in graph.edges(node, "descendants")
                if edge.relation == "parent"]  # fmt: skip
    walk = Walk(log_size, tainted=tainted, whole=frozenset(start.releases))
    held = {"release": walk.releases, "run": walk.runs, "model": walk.models, "report": walk.reports}
    for number, generation in _spread(graph, [*nodes, *children]).items():
        node = graph.nodes[number]
        if node.kind == "samples":
            walk.parts[node.dataset_id or 0, node.fact_class_id or 0] = generation
        elif node.kind in held:
            held[node.kind][node.key] = generation
    return walk


def _start_nodes(graph: Graph, start: Start, releases: Iterable[str]) -> list[int]:
    names = {normal_name(name) for name in start.names}
    keys = {("release", key) for key in (*start.releases, *releases)} | {("model", key) for key in start.models}
    return [
        node.id
        for node in graph.nodes.values()
        if (node.kind, node.key) in keys
        or (node.kind in MODELS and node.name in names)
        or (node.kind == "samples" and (node.fact_class_id in start.classes or node.dataset_id in start.datasets))
    ]


def _slices(graph: Graph, parts: Mapping[Part, int]) -> list[int]:
    return [node.id for node in graph.nodes.values() if (node.dataset_id, node.fact_class_id) in parts]


def _spread(graph: Graph, starts: Iterable[int]) -> dict[int, int]:
    """The generation of every node that is reached: a breadth-first walk in which some edges cost one and others nothing."""
    best = dict.fromkeys(starts, 0)
    waiting = deque(best)
    while waiting:
        number = waiting.popleft()
        for edge in graph.edges(number, "descendants"):
            cost = _passes(graph, edge)
            generation = best[number] + cost
            if generation < best.get(edge.child, generation + 1):
                best[edge.child] = generation
                (waiting.append if cost else waiting.appendleft)(edge.child)
    return best


def _passes(graph: Graph, edge: Edge) -> int:
    return int(edge.relation in PASSES_A_MODEL and graph.nodes[edge.parent].kind in MODELS)


def _parts_of(session: Session, indices: IndexSet, size: int) -> dict[Part, int]:
    """The first of `indices` in each dataset and class."""
    parts: dict[Part, int] = {}
    for first, last in indices.runs:
        query = (
            select(SampleRow.dataset_id, SampleRow.fact_class_id, func.min(SampleRow.index))
            .where(SampleRow.index >= first, SampleRow.index <= last, SampleRow.index < size)
            .group_by(col(SampleRow.dataset_id), col(SampleRow.fact_class_id))
        )
        for dataset, fact_class, index in session.exec(query):
            parts[dataset, fact_class] = min(index, parts.get((dataset, fact_class), index))
    return parts


def _releases_of_parts(session: Session, parts: Mapping[Part, int], indices: IndexSet, size: int) -> dict[str, int]:
    """The releases that hold some of `indices`, with the tokens of those."""
    names = {row.id: row.name for row in session.exec(select(Dataset)) if row.id in {dataset for dataset, _ in parts}}
    found: dict[str, int] = {}
    for (dataset, fact_class), first in parts.items():
        query = (
            select(Release.id, Release.log_size)
            .join(DecisionClass, col(DecisionClass.decision) == col(Release.decision))
            .where(Release.dataset == names[dataset], DecisionClass.fact_class_id == fact_class)
            .where(col(DecisionClass.verdict).in_(PERMITTING), Release.log_size > first)
            .where(Release.index < size, col(Release.state).in_(RELEASED))
        )
        for name, log_size in session.exec(query).all():
            found[name] = found.get(name, 0) + _tokens_of(session, indices, (dataset, fact_class), log_size)
    return found


def _tokens_of(session: Session, indices: IndexSet, part: Part, below: int) -> int:
    total = 0
    for first, last in indices.runs:
        query = select(func.sum(SampleRow.tokens)).where(
            SampleRow.index >= first, SampleRow.index <= last, SampleRow.index < below,
            SampleRow.dataset_id == part[0], SampleRow.fact_class_id == part[1],
        )  # fmt: skip
        total += int(session.exec(query).one() or 0)
    return total
