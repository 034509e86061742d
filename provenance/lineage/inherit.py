"""Find what samples inherit at a log size: for the classes of a data set, or for a teacher that a question names.

Where nothing in the log was made of anything else, one query says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlmodel import Session

from provenance.lineage.carry import Carrier, is_trained_here
from provenance.lineage.graph import Edge, Graph
from provenance.lineage.inherited import NOTHING, Inheritance, describe_inherited
from provenance.lineage.load import load_graph
from provenance.lineage.people import People
from provenance.lineage.shares import is_trained
from provenance.store.lineage import find_model_node, has_heirs, list_slices, name_digests
from provenance.store.tables import FactClass
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import known


def inherit_classes(
    session: Session,
    dataset: str,
    digests: Iterable[str],
    log_size: int,
    catalogue: Catalogue,
    *,
    terms_of: dt.date | None = None,
) -> dict[str, Inheritance]:
    """What the classes of a data set inherit, by digest; those that inherit nothing are left out.

    A class counts whole: it carries what any of its samples does.

    Raises:
        UnavailableError: the index is older than the graph's tables.
    """
    if not has_heirs(session, log_size):
        return {}
    carrier = _carrier(session, log_size, catalogue, terms_of)
    parts = _list_parts(session, carrier.graph, dataset, frozenset(digests))
    heirs = {digest: nodes for digest, nodes in parts.items() if _may_inherit(carrier.graph, nodes)}
    carrier.carry(node for nodes in heirs.values() for node in nodes)
    found = {
        digest: _describe(carrier, [edge for node in nodes for edge in carrier.graph.edges(node, "ancestors")])
        for digest, nodes in heirs.items()
    }
    return {digest: item for digest, item in found.items() if item != NOTHING}


def _list_parts(session: Session, graph: Graph, dataset: str, digests: frozenset[str]) -> dict[str, list[int]]:
    """The nodes of each class of a data set, as far as they had begun."""
    names = name_digests(session, digests)
    found: dict[str, list[int]] = {}
    for node in list_slices(session, dataset=dataset):
        held = graph.nodes.get(node)
        digest = names.get(held.fact_class_id or 0) if held else None
        if digest is not None:
            found.setdefault(digest, []).append(node)
    return found


def _may_inherit(graph: Graph, nodes: Iterable[int]) -> bool:
    edges = [edge for node in nodes for edge in graph.edges(node, "ancestors")]
    return any(edge.relation == "parent" or graph.edges(edge.parent, "ancestors") for edge in edges)


def inherit_teacher(
    session: Session,
    sample: Mapping[str, Any],
    log_size: int,
    catalogue: Catalogue,
    *,
    terms_of: dt.date | None = None,
) -> Inheritance:
    """What a sample of a what-if inherits from the teacher that it names; a sample that does not exist yet has no parents."""
    teacher = known(sample.get("teacher")) or {}
    provider, model = known(teacher.get("provider")), known(teacher.get("model"))
    if not isinstance(provider, str) or not isinstance(model, str) or not has_heirs(session, log_size):
        return NOTHING
    facts = {name: known(teacher.get(name)) for name in ("revision", "weights_digest")}
    found = find_model_node(
        session, f"{provider}/{model}", revision=facts["revision"], weights=facts["weights_digest"], below=log_size
    )
    if found is None:
        return NOTHING
    carrier = _carrier(session, log_size, catalogue, terms_of)
    carrier.carry([found.id])
    return _describe(carrier, [Edge(found.id, found.id, "generated")])


def _carrier(session: Session, log_size: int, catalogue: Catalogue, terms_of: dt.date | None) -> Carrier:
    graph = load_graph(session, log_size)
    people = People(session, graph, log_size)

    def facts(node: int) -> Mapping[str, Any]:
        return session.get_one(FactClass, graph.nodes[node].fact_class_id).facts

    return Carrier(graph, catalogue, facts, people.party, terms_of=terms_of)


def _describe(carrier: Carrier, edges: Sequence[Edge]) -> Inheritance:
    graph = carrier.graph
    teachers = list(dict.fromkeys(edge.parent for edge in edges if edge.relation == "generated"))
    trained_by: tuple[str | None, ...] = ()
    if all(is_trained_here(graph, teacher) for teacher in teachers):
        trained_by = tuple(dict.fromkeys(_developer(carrier, graph, teacher) for teacher in teachers))
    return Inheritance(trained_by, describe_inherited(graph, carrier.receive(edges).values()))


def _developer(carrier: Carrier, graph: Graph, teacher: int) -> str | None:
    above = [edge.parent for edge in graph.edges(teacher, "ancestors") if edge.relation == "same"]
    return next((carrier.party(model) for model in (teacher, *above) if is_trained(graph, model)), None)
