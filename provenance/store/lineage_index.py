"""The lineage graph as index rows: nodes and edges, added with each entry, made again by `provenance db reindex`.

- **Nodes** are models, samples (folded: one node for each dataset, fact class and teacher), releases, runs, reports, the
  data sets of others (`source`), names of models that nobody registered (`name`), and parents that are not on record
  (`outside`). Ten million samples are as many nodes as they have fact classes.
- **Edges** lead from what was used to what was made of it and carry the entry that says so: below a log size the graph
  is what it was then. Nothing is taken out of it, also not by a withdrawal.
- A teacher is the newest registration of its name (or the one of its weights or revision) at the moment of the entry, so
  that a second version of a model, made from outputs of the first, is no ring.
- What nobody registered is a name; the first registration that comes later is joined to it by an edge `same`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from provenance.store.lineage import find_by_key, find_model_id, is_kind, list_slices_of, normal_name
from provenance.store.tables import Dataset, DecisionClass, LineageNode, SampleRow

Predicate = Mapping[str, Any]
SliceKey = tuple[int, int, str | None]  # dataset, fact class, digest of the teacher's weights
Classes = Mapping[int, tuple[str, Mapping[str, Any]]]  # id of a fact class -> its teacher's name, its facts
PERMITTING = ("allow", "allow-with-conditions")
MAX_PARAMETERS = 500  # of one query: SQLite takes a bounded number
_ADD_TO_SLICE = text(
    "UPDATE lineage_node SET samples = samples + :samples, tokens = tokens + :tokens "
    "WHERE kind = 'samples' AND key = :key RETURNING id"
)
_ADD_EDGE = text(
    "INSERT INTO lineage_edge (parent, child, relation, entry, samples, tokens) "
    "VALUES (:parent, :child, :relation, :entry, :samples, :tokens) "
    "ON CONFLICT (parent, child, relation) DO UPDATE SET "
    "samples = lineage_edge.samples + excluded.samples, tokens = lineage_edge.tokens + excluded.tokens"
)


# --- What each kind of entry adds --------------------------------------------------------------------------------


class Placed(NamedTuple):
    """A sample with its place in the log, as far as the graph sees it; `weights` is the digest of its teacher's."""

    entry: int
    dataset_id: int
    class_id: int
    weights: str | None
    tokens: int
    parents: Sequence[str]


def add_samples(session: Session, placed: Sequence[Placed], classes: Classes) -> None:
    """Add samples that stand in this order to the nodes of their classes."""
    held: dict[SliceKey, list[int]] = {}  # first index, samples, tokens
    for item in placed:
        counts = held.setdefault(item[1:4], [item.entry, 0, 0])
        counts[1] += 1
        counts[2] += item.tokens
    nodes = {key: _add_slice(session, key, classes[key[1]], counts) for key, counts in held.items()}
    children = {item.entry: (nodes[item[1:4]], item.parents) for item in placed if item.parents}
    if children:
        _add_sample_parents(session, children)


def add_model(session: Session, index: int, predicate: Predicate) -> None:
    """Add a registered model, what it was made from, and the name under which it was known before."""
    name = normal_name(f"{predicate['provider']}/{predicate['name']}")
    parents = [] if predicate.get("run") else [_resolve(session, index, str(parent)) for parent in predicate["parents"]]
    first = session.exec(select(LineageNode.id).where(is_kind("model"), LineageNode.name == name)).first() is None
    known = find_by_key(session, "model", predicate["id"])
    node = known or _add_node(session, "model", predicate["id"], index, name=name)
    node.revision, node.digest = predicate.get("revision"), predicate.get("weights_digest")
    session.flush()
    for parent in parents:
        _link(session, parent, node.id, "parent", index)
    run = find_by_key(session, "run", predicate.get("run"))
    if run is not None:
        _link(session, run.id, node.id, "made", index)
    elif predicate.get("run"):  # said to come from a run that the log does not hold: the parents are all that is told
        for parent in predicate["parents"]:
            _link(session, _resolve(session, index, str(parent)), node.id, "parent", index)
    before = find_by_key(session, "name", name)
    if before is not None and first and known is None:
        _link(session, node.id, before.id, "same", index)


def add_release(session: Session, index: int, predicate: Predicate) -> None:
    """Add a release and the classes that its decision let in, as far as they had begun at its log size."""
    node = _add_node(session, "release", predicate["id"], index)
    if predicate["state"] == "blocked":
        return
    query = (
        select(LineageNode, DecisionClass)
        .join(DecisionClass, col(DecisionClass.fact_class_id) == col(LineageNode.fact_class_id))
        .join(Dataset, col(Dataset.id) == col(LineageNode.dataset_id))
        .where(
            DecisionClass.decision == predicate["decision"]["id"],
            col(DecisionClass.verdict).in_(PERMITTING),
            Dataset.name == predicate["dataset"],
            LineageNode.entry < predicate["log_size"],
        )
        .order_by(col(LineageNode.id))
    )
    found = session.exec(query, execution_options={"populate_existing": True}).all()  # samples are counted by SQL
    whole: Counter[int] = Counter()
    for part, judged in found:
        whole[judged.fact_class_id] += part.samples
    for part, judged in found:  # one class may hold the outputs of two models of one name: each has its part
        share = part.samples / whole[judged.fact_class_id] if whole[judged.fact_class_id] else 0
        samples, tokens = round(judged.samples * share), round(judged.tokens * share)
        _link(session, part.id, node.id, "released", index, samples=samples, tokens=tokens)


def add_run(session: Session, index: int, predicate: Predicate) -> None:
    """Add a run with its release and the model it starts from, as its first phase names them."""
    if find_by_key(session, "run", predicate["id"]) is not None:
        return
    node = _add_node(session, "run", predicate["id"], index)
    release = find_by_key(session, "release", predicate["release"])
    if release is not None:
        _link(session, release.id, node.id, "trained-on", index)
    base = predicate.get("base_model")
    if isinstance(base, str) and base:
        _link(session, _resolve(session, index, base), node.id, "base", index)


def add_report(session: Session, index: int, predicate: Predicate) -> None:
    """Add a report below what it is about."""
    node = _add_node(session, "report", predicate["id"], index)
    subject = find_by_key(session, predicate["subject"]["kind"], predicate["subject"]["id"])
    if subject is not None:
        _link(session, subject.id, node.id, "reported", index)


# --- Samples -----------------------------------------------------------------------------------------------------


def _add_slice(session: Session, place: SliceKey, named: tuple[str, Mapping[str, Any]], counts: Sequence[int]) -> int:
    dataset_id, class_id, weights = place
    (name, facts), (first, samples, tokens) = named, counts
    teacher = _resolve(session, first, name, revision=facts["teacher"].get("revision"), weights=weights)
    key = f"{dataset_id}:{class_id}:{teacher}"
    added: dict[str, Any] = {"samples": samples, "tokens": tokens}
    known: int | None = session.connection().execute(_ADD_TO_SLICE, {"key": key, **added}).scalar_one_or_none()
    if known is not None:
        return known
    node = _add_node(session, "samples", key, first, dataset_id=dataset_id, fact_class_id=class_id, **added)
    _link(session, teacher, node.id, "generated", first)
    source = facts.get("source_dataset")
    if source:
        held = find_by_key(session, "source", source["ref"]) or _add_node(session, "source", source["ref"], first)
        _link(session, held.id, node.id, "taken-from", first)
    return node.id


def _add_sample_parents(session: Session, children: Mapping[int, tuple[int, Sequence[str]]]) -> None:
    """Edges between the nodes of samples and of their parents; a parent must stand in the log before its child."""
    found = _find_parents(session, {str(name) for _, names in children.values() for name in names})
    edges: Counter[tuple[int, int, str]] = Counter()
    first: dict[tuple[int, int, str], int] = {}
    for index, (node, names) in children.items():
        for name in names:
            earlier = [item for item in found.get(str(name), ()) if item[0] < index]
            places = list_slices_of(session, *max(earlier)[1:]) if earlier else [_outside(session, node, index)]
            for place in places:
                edge = (place, node, "parent")
                if place != node:  # a parent in the same fold is no edge of it
                    edges[edge] += 1
                    first.setdefault(edge, index)
    for (parent, child, relation), count in edges.items():
        _link(session, parent, child, relation, first[parent, child, relation], samples=count)


def _find_parents(session: Session, names: Iterable[str]) -> dict[str, list[tuple[int, int, int]]]:
    """(entry, dataset, class) of each sample that a name may mean: its `external_id`, or the number of its entry."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    wanted = sorted(names)
    for start in range(0, len(wanted), MAX_PARAMETERS):
        part = wanted[start : start + MAX_PARAMETERS]
        numbers = [int(name) for name in part if name.isascii() and name.isdecimal() and len(name) < 16]  # 2^53
        query = select(SampleRow).where(col(SampleRow.external_id).in_(part) | col(SampleRow.index).in_(numbers))
        for row in session.exec(query):
            for name in {row.external_id, str(row.index)} & set(part):
                found.setdefault(str(name), []).append((row.index, row.dataset_id, row.fact_class_id))
    return found


def _outside(session: Session, child: int, index: int) -> int:
    key = str(child)
    return (find_by_key(session, "outside", key) or _add_node(session, "outside", key, index)).id


# --- Nodes and edges ---------------------------------------------------------------------------------------------


def _resolve(
    session: Session, index: int, reference: str, *, revision: str | None = None, weights: str | None = None
) -> int:
    """The node that a reference to a model means at this moment; a name that nobody registered gets a node of its own."""
    found = find_model_id(session, reference, revision=revision, weights=weights)
    if found is not None:
        return found
    return _add_node(session, "name", normal_name(reference), index, name=normal_name(reference)).id


def _add_node(session: Session, kind: str, key: str, entry: int, **more: Any) -> LineageNode:
    number = (session.exec(select(func.max(LineageNode.id))).one() or 0) + 1
    node = LineageNode(id=number, kind=kind, key=key, entry=entry, **more)
    session.add(node)
    session.flush()
    return node


def _link(
    session: Session, parent: int, child: int, relation: str, index: int, *, samples: int = 0, tokens: int = 0
) -> None:
    row = {"parent": parent, "child": child, "relation": relation, "entry": index}
    session.connection().execute(_ADD_EDGE, {**row, "samples": samples, "tokens": tokens})
