"""What recalls in force hold back of a data set: what was frozen, and what came of the same source later.

- The frozen list is what a recall proves. Samples that its source yields afterwards are on no list, and must not slip
  through: they are found anew at each log size, by what the source means then and by what was made of frozen things.
- What the source yields is held until the recall is closed; after an upheld one the rules alone judge what is new. What is
  made of a frozen model, release or class stays held with it. A lifted recall holds nothing.
- A class counts whole. Of single samples, an erasure or a collector's key nothing can be told of later ones by their
  facts: the key is revoked beside the recall (`recall.source.describe_later` says so in the plan).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlmodel import Session

from provenance.lineage.graph import Graph, Node
from provenance.lineage.load import load_graph
from provenance.store.lineage import name_classes, normal_name
from provenance.store.recalls import Logged, fold_held, list_holding
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import resolve_terms

FOLLOWED = frozenset({"provider", "teacher", "dataset", "terms"})  # sources that name what later samples come from
REACHED = {"releases": "release", "runs": "run", "models": "model"}


def find_held(
    session: Session,
    dataset: str,
    digests: list[str],
    log_size: int,
    catalogue: Catalogue,
    *,
    holding: Sequence[Logged] | None = None,
) -> dict[str, str]:
    """Which recall holds each of these classes of a data set back; those that none does are left out.

    `holding` are the recalls in force, those of the log by default.

    Raises:
        UnavailableError: the index is older than the lineage's tables.
    """
    holding = list_holding(session) if holding is None else holding
    held = fold_held(holding).classes_of(dataset, digests)
    asked = frozenset(digests) - held.keys()
    if not holding or not asked:
        return held
    graph, names = load_graph(session, log_size), name_classes(session)
    for logged in holding:
        meant = _walk(graph, _list_meant(graph, logged, names, catalogue), logged.closed_at)
        for node in (meant | _walk(graph, _list_frozen(graph, logged, names), None)).values():
            digest = names[1][node.fact_class_id or 0][0]
            if digest in asked and names[0].get(node.dataset_id or 0) == dataset:
                held.setdefault(digest, logged.recall.id)
    return held


Names = tuple[Mapping[int, str], Mapping[int, tuple[str, str, Mapping[str, Any]]]]


def _walk(graph: Graph, starts: Iterator[int], until: int | None) -> dict[int, Node]:
    """The samples that come of the starts, themselves among them; with `until`, those that had begun before that entry."""
    reached = (graph.nodes[number] for number in graph.walk(starts, "descendants"))
    return {node.id: node for node in reached if node.kind == "samples" and (until is None or node.entry < until)}


def _list_frozen(graph: Graph, logged: Logged, names: Names) -> Iterator[int]:
    reach = logged.reach or {}
    keys = {(kind, item["id"]) for part, kind in REACHED.items() for item in reach.get(part, ())}
    parts = {(item["dataset"], item["digest"]) for item in reach.get("classes", ())}
    for node in graph.nodes.values():
        part = (names[0].get(node.dataset_id or 0), names[1].get(node.fact_class_id or 0, ("",))[0])
        if (node.kind, node.key) in keys or (node.kind == "samples" and part in parts):
            yield node.id


def _list_meant(graph: Graph, logged: Logged, names: Names, catalogue: Catalogue) -> Iterator[int]:
    source = logged.recall.source
    if source["kind"] in FOLLOWED and isinstance(source.get("id"), str):
        yield from (node.id for node in graph.nodes.values() if _is_meant(node, source, names, catalogue))


def _is_meant(node: Node, source: Mapping[str, Any], names: Names, catalogue: Catalogue) -> bool:
    kind, key = source["kind"], str(source["id"])
    if node.kind in ("model", "name") and kind in ("provider", "teacher"):
        name = node.name or ""
        return (name.partition("/")[0] if kind == "provider" else name) == normal_name(key)
    if node.kind != "samples":
        return False
    if kind == "dataset":
        return bool(names[0][node.dataset_id or 0] == key)
    facts = names[1][node.fact_class_id or 0][2]
    return kind == "terms" and key in {document.id for document in resolve_terms(facts, catalogue).documents}
