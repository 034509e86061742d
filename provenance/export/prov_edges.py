"""Each edge of the lineage as PROV relations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provenance.export.prov_nodes import SOFTWARE, local_of, making_of
from provenance.export.records import LOG, Records, ours, qualified
from provenance.export.scope import Scope
from provenance.lineage.graph import Edge, Node


def tell_edge(scope: Scope, records: Records, edge: Edge) -> None:
    """Tell of one edge: how the child was made of the parent."""
    _TELLERS[edge.relation](scope, records, edge)


def _ends(scope: Scope, edge: Edge) -> tuple[Node, Node]:
    return scope.by_id[edge.parent], scope.by_id[edge.child]


def _name(scope: Scope, node: Node) -> str:
    return f"{LOG}:{local_of(scope, node)}"


def _making(scope: Scope, node: Node) -> str:
    return f"{LOG}:{making_of(scope, node)}"


def _tell_generated(scope: Scope, records: Records, edge: Edge) -> None:
    teacher, samples = _ends(scope, edge)
    generation, name = _making(scope, samples), _name(scope, teacher)
    label = teacher.name or teacher.key
    agent = records.add("agent", f"teacher-{local_of(scope, teacher)}", prov_type=[SOFTWARE], prov_label=label)
    records.relate("used", {"activity": generation, "entity": name}, prov_role=[qualified(ours("teacher"))])
    records.relate(
        "wasAssociatedWith", {"activity": generation, "agent": agent}, prov_role=[qualified(ours("teacher"))]
    )
    records.relate("wasAttributedTo", {"entity": _name(scope, samples), "agent": agent})


def _tell_derived(scope: Scope, records: Records, edge: Edge) -> None:
    parent, child = (_name(scope, node) for node in _ends(scope, edge))
    relation = ours(edge.relation)
    if scope.is_in_ring(edge):
        ends = {"influencee": child, "influencer": parent}
        records.relate("wasInfluencedBy", ends, prov_type=[qualified(relation), qualified(ours("ring"))])
    else:
        ends = {"generatedEntity": child, "usedEntity": parent}
        records.relate("wasDerivedFrom", ends, prov_type=[qualified(relation)])


def _tell_released(scope: Scope, records: Records, edge: Edge) -> None:
    samples, release = _ends(scope, edge)
    build, decision = _making(scope, release), scope.decision_of(release.key)
    verdict = scope.class_verdict(decision, samples) if decision else None
    counts = {"samples": edge.samples, "tokens": edge.tokens}
    records.relate("used", {"activity": build, "entity": _name(scope, samples)}, verdict=verdict, **counts)
    ends = {"generatedEntity": _name(scope, release), "usedEntity": _name(scope, samples), "activity": build}
    records.relate("wasDerivedFrom", ends)


def _tell_consumed(scope: Scope, records: Records, edge: Edge) -> None:
    thing, run = _ends(scope, edge)
    role = ours("baseModel" if edge.relation == "base" else "trainingData")
    records.relate("used", {"activity": _name(scope, run), "entity": _name(scope, thing)}, prov_role=[qualified(role)])


def _tell_made(scope: Scope, records: Records, edge: Edge) -> None:
    run, model = _ends(scope, edge)
    activity = _name(scope, run)
    records.relate("wasGeneratedBy", {"entity": _name(scope, model), "activity": activity})
    for used in scope.parents(run.id, "trained-on", "base"):
        source = _name(scope, scope.by_id[used.parent])
        ends = {"generatedEntity": _name(scope, model), "usedEntity": source, "activity": activity}
        records.relate("wasDerivedFrom", ends)


def _tell_reported(scope: Scope, records: Records, edge: Edge) -> None:
    subject, report = _ends(scope, edge)
    reporting = _making(scope, report)
    if subject.kind == "run":
        records.relate("wasInformedBy", {"informed": reporting, "informant": _name(scope, subject)})
        return
    records.relate("used", {"activity": reporting, "entity": _name(scope, subject)})
    ends = {"generatedEntity": _name(scope, report), "usedEntity": _name(scope, subject), "activity": reporting}
    records.relate("wasDerivedFrom", ends)


def _tell_same(scope: Scope, records: Records, edge: Edge) -> None:
    """The registered model is one of those that its name stood for; only this way round it precedes nothing of itself."""
    model, name = (_name(scope, node) for node in _ends(scope, edge))
    records.relate("specializationOf", {"specificEntity": model, "generalEntity": name})


_TELLERS: Mapping[str, Callable[[Scope, Records, Edge], None]] = {
    "generated": _tell_generated,
    "taken-from": _tell_derived,
    "parent": _tell_derived,
    "released": _tell_released,
    "trained-on": _tell_consumed,
    "base": _tell_consumed,
    "made": _tell_made,
    "reported": _tell_reported,
    "same": _tell_same,
}
