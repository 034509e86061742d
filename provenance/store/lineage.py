"""Queries over the lineage graph's rows; `lineage_index` says what they hold."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from provenance.errors import UnavailableError
from provenance.store.tables import (
    Dataset,
    FactClass,
    LineageNode,
    Model,
    Release,
    SampleRow,
)


def normal_name(reference: str) -> str:
    """A model's name as two writers of it would agree: without case, blanks as hyphens."""
    return "-".join(reference.casefold().split())


def find_model_node(
    session: Session, reference: str, *, revision: str | None = None, weights: str | None = None
) -> LineageNode | None:
    """The newest model of these weights, this id, or this name (of this revision, where one has it); None if unheard of."""
    number = find_model_id(session, reference, revision=revision, weights=weights)
    return None if number is None else session.get_one(LineageNode, number)


# One look, as every batch of samples asks for the node of its teacher. Both databases read it so.
_FIND_MODEL = text(
    "SELECT id FROM ("
    "SELECT 1 AS place, max(id) AS id FROM lineage_node WHERE kind = 'model' AND digest = :weights "
    "UNION ALL SELECT 2, max(id) FROM lineage_node WHERE kind = 'model' AND key = :reference "
    "UNION ALL SELECT 3, max(id) FROM lineage_node WHERE kind = 'model' AND name = :name AND revision = :revision "
    "UNION ALL SELECT 4, max(id) FROM lineage_node WHERE kind = 'model' AND name = :name "
    "UNION ALL SELECT 5, max(id) FROM lineage_node WHERE kind = 'name' AND key = :name"
    ") AS found WHERE id IS NOT NULL ORDER BY place LIMIT 1"
)


def find_model_id(
    session: Session, reference: str, *, revision: str | None = None, weights: str | None = None
) -> int | None:
    """The node that `find_model_node` finds."""
    name = normal_name(reference)
    asked = {"reference": reference, "name": name, "revision": revision or None, "weights": weights or None}
    number: int | None = session.connection().execute(_FIND_MODEL, asked).scalar_one_or_none()
    return number


def is_kind(kind: str) -> Any:
    """The condition that a node is of this kind."""
    return col(LineageNode.kind) == kind


def find_by_key(session: Session, kind: str, key: Any) -> LineageNode | None:
    """The node of this kind and key; None also for a key that an entry leaves out."""
    if not isinstance(key, str):
        return None
    return session.exec(select(LineageNode).where(is_kind(kind), LineageNode.key == key)).first()


def list_slices_of(session: Session, dataset_id: int, class_id: int) -> list[int]:
    """The nodes of a class of a data set: several where its teacher's name stood for several models."""
    query = select(LineageNode.id).where(LineageNode.dataset_id == dataset_id, LineageNode.fact_class_id == class_id)
    return list(session.exec(query.order_by(col(LineageNode.id))).all())


def check_complete(session: Session) -> None:
    """Refuse to answer from an index that is older than these tables.

    Raises:
        UnavailableError: models, releases or samples of the log have no node.
    """
    for kind, table in (("model", Model), ("release", Release)):
        held = session.exec(select(func.count()).select_from(table)).one()
        nodes = session.exec(select(func.count()).select_from(LineageNode).where(is_kind(kind))).one()
        if held != nodes:
            raise UnavailableError(
                f"lineage: {nodes:,} of {held:,} {kind}s are in the graph; run provenance db reindex"
            )
    held = session.exec(select(func.sum(Dataset.samples))).one() or 0
    counted = session.exec(select(func.sum(LineageNode.samples)).where(is_kind("samples"))).one() or 0
    if held != counted:
        raise UnavailableError(f"lineage: {counted:,} of {held:,} samples are in the graph; run provenance db reindex")


def sum_rows(session: Session) -> tuple[int, ...]:
    """Numbers that differ where rows do, for whoever keeps a graph that was read from them."""
    edges = (
        "SELECT count(*), coalesce(sum(parent), 0), coalesce(sum(child), 0), coalesce(sum(tokens), 0) FROM lineage_edge"
    )
    nodes = "SELECT count(*), coalesce(sum(samples), 0), coalesce(sum(entry), 0) FROM lineage_node"
    rows = (session.connection().execute(text(query)).one() for query in (edges, nodes))
    return tuple(int(number) for row in rows for number in row)


def load_edges(session: Session, log_size: int) -> list[Any]:
    """(parent, child, relation, samples, tokens) of every edge that an entry below `log_size` says."""
    query = (
        "SELECT parent, child, relation, samples, tokens FROM lineage_edge WHERE entry < :size ORDER BY parent, child"
    )
    return list(session.connection().execute(text(query), {"size": log_size}))


def load_nodes(session: Session, log_size: int) -> list[Any]:
    """(id, kind, key, name, entry, dataset, class, samples, tokens) of every node that had begun below `log_size`."""
    query = (
        "SELECT id, kind, key, name, entry, dataset_id, fact_class_id, samples, tokens "
        "FROM lineage_node WHERE entry < :size ORDER BY id"
    )
    return list(session.connection().execute(text(query), {"size": log_size}))


def find_node(session: Session, kind: str, key: str) -> LineageNode | None:
    """One node by kind and key; a model also by its name."""
    if kind in ("model", "name"):
        return find_model_node(session, key)
    return find_by_key(session, kind, key)


def list_sample_nodes(session: Session, index: int) -> list[int]:
    """The node or nodes that the sample of an entry is folded into; none if there is no such sample."""
    row = session.get(SampleRow, index)
    return [] if row is None else list_slices_of(session, row.dataset_id, row.fact_class_id)


def list_slices(session: Session, *, digest: str | None = None, dataset: str | None = None) -> list[int]:
    """The nodes of the samples of a fact class, or of a data set."""
    query = select(LineageNode.id).where(is_kind("samples")).order_by(col(LineageNode.id))
    if digest is not None:
        query = query.join(FactClass, col(FactClass.id) == LineageNode.fact_class_id).where(FactClass.digest == digest)
    if dataset is not None:
        query = query.join(Dataset, col(Dataset.id) == LineageNode.dataset_id).where(Dataset.name == dataset)
    return list(session.exec(query).all())


def find_release_id(session: Session, reference: str) -> str | None:
    """The id of the release `name@version`."""
    name, _, version = reference.rpartition("@")
    if not name or not version.isascii() or not version.isdecimal() or len(version) > 9:  # fits any column
        return None
    return session.exec(select(Release.id).where(Release.name == name, Release.version == int(version))).first()


def name_classes(session: Session) -> tuple[dict[int, str], dict[int, tuple[str, str, dict[str, Any]]]]:
    """The name of each data set; digest, teacher and facts of each fact class."""
    datasets = {row.id or 0: row.name for row in session.exec(select(Dataset))}
    columns = select(FactClass.id, FactClass.digest, FactClass.teacher, FactClass.facts)  # rows, as objects cost more
    classes = {number or 0: (digest, teacher, dict(facts)) for number, digest, teacher, facts in session.exec(columns)}
    return datasets, classes


def name_releases(session: Session) -> dict[str, str]:
    """`name@version` of every release, by id."""
    rows = session.exec(select(Release.id, Release.name, Release.version)).all()
    return {identifier: f"{name}@{version}" for identifier, name, version in rows}
