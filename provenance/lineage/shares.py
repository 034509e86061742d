"""What a model was taught by: tokens by teacher and by route, its generation, and how much of it was self-made.

- The generation counts the trainings on outputs on the longest way: a teacher that others made is 0, its student 1.
- Self-made tokens are outputs of models that were trained here. A high share over several generations is what makes
  models collapse (Shumailov et al., Nature 631 (2024)); the figures are given, the judgement is the reader's.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlmodel import Session

from provenance.lineage.graph import Edge, Graph
from provenance.lineage.load import find_start, load_graph
from provenance.lineage.order import order_ancestors
from provenance.lineage.trace import Labels
from provenance.store.log import get_head
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import resolve_terms


def weigh_teachers(session: Session, root: str, catalogue: Catalogue) -> dict[str, Any]:
    """The shares of a release, or of the releases that a model or run was trained on.

    Raises:
        NotFoundError: nothing of that name.
    """
    graph, labels = load_graph(session), Labels(session)
    starts = find_start(session, root, graph)
    releases = find_releases(graph, starts)
    parts = [edge for release in releases for edge in graph.edges(release, "ancestors") if edge.relation == "released"]
    teachers: Counter[str] = Counter()
    access: Counter[str] = Counter()
    legal: Counter[str] = Counter()
    own = 0
    for edge in parts:
        facts = labels.classes[graph.nodes[edge.parent].fact_class_id or 0][2]
        self_made = any(is_trained(graph, model) for model in teachers_of(graph, edge.parent))
        teachers[labels.classes[graph.nodes[edge.parent].fact_class_id or 0][1]] += edge.tokens
        access[facts["teacher"]["route"]] += edge.tokens
        legal["self-made" if self_made else _legal_route(facts, catalogue)] += edge.tokens
        own += edge.tokens if self_made else 0
    total = sum(edge.tokens for edge in parts)
    return {
        "root": root,
        "log_size": get_head(session).size,
        "releases": [labels.reference(graph.nodes[release]) for release in releases],
        "samples": sum(edge.samples for edge in parts),
        "tokens": total,
        "teachers": _shares(teachers, total),
        "access_routes": _shares(access, total),
        "legal_routes": _shares(legal, total),
        "self_made_share": own / total if total else None,
        "generation": count_generations(graph, starts),
    }


def _shares(tokens: Counter[str], total: int) -> list[dict[str, Any]]:
    ordered = sorted(tokens.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "tokens": count, "share": count / total if total else None} for name, count in ordered]


def _legal_route(facts: dict[str, Any], catalogue: Catalogue) -> str:
    binding = resolve_terms(facts, catalogue)
    routes = sorted({document.route for document in binding.documents})
    return "unknown" if binding.unmatched or not routes else " and ".join(routes)


def find_releases(graph: Graph, starts: list[int]) -> list[int]:
    """The releases that the starts are, or were trained on: through runs, not through other models."""
    found = set()
    for start in starts:
        kind = graph.nodes[start].kind
        runs = [start] if kind == "run" else [e.parent for e in graph.edges(start, "ancestors") if e.relation == "made"]
        found |= {start} if kind == "release" else set()
        found |= {e.parent for run in runs for e in graph.edges(run, "ancestors") if e.relation == "trained-on"}
    return sorted(found)


def teachers_of(graph: Graph, samples: int) -> list[int]:
    """The models that generated these samples; a name stands for the model that was registered under it later."""
    direct = [edge.parent for edge in graph.edges(samples, "ancestors") if edge.relation == "generated"]
    same = [edge.parent for name in direct for edge in graph.edges(name, "ancestors") if edge.relation == "same"]
    return direct + same


def is_trained(graph: Graph, model: int) -> bool:
    """Whether a run of this log made the model."""
    return any(edge.relation == "made" for edge in graph.edges(model, "ancestors"))


def count_generations(graph: Graph, starts: list[int]) -> int | None:
    """Trainings on outputs on the longest way to the starts; None where a claimed ring makes it endless."""
    found = list_generations(graph, starts)
    depths = [found.get(start) for start in starts]
    return max((depth for depth in depths if depth is not None), default=0) if None not in depths else None


def list_generations(graph: Graph, starts: list[int]) -> dict[int, int]:
    """The generation of each start and of all their ancestors; those in or below a claimed ring have none."""
    depth: dict[int, int] = {}
    for node in order_ancestors(graph, starts).sorted:
        depth[node] = max((_step(graph, edge, depth) for edge in graph.edges(node, "ancestors")), default=0)
    return depth


def _step(graph: Graph, edge: Edge, depth: dict[int, int]) -> int:
    taught = edge.relation == "trained-on" and bool(graph.edges(edge.parent, "ancestors"))
    return depth.get(edge.parent, 0) + (1 if taught else 0)
