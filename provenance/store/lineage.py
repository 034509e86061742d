"""Queries over the lineage graph's rows; `lineage_index` says what they hold."""

from __future__ import annotations

from collections.abc import Iterable
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
    session: Session,
    reference: str,
    *,
    revision: str | None = None,
    weights: str | None = None,
    below: int | None = None,
) -> LineageNode | None:
    """The newest model of these weights, this id, or this name (of this revision, where one has it); None if unheard of.

    With `below`, what an entry from that size on said is left out.
    """
    number = find_model_id(session, reference, revision=revision, weights=weights, below=below)
    return None if number is None else session.get_one(LineageNode, number)


# One look, as every batch of samples asks for the node of its teacher. Both databases read it so.
_FIND_MODEL = text(
    "SELECT id FROM ("
    "SELECT 1 AS place, max(id) AS id FROM lineage_node WHERE kind = 'model' AND digest = :weights AND entry < :below "
    "UNION ALL SELECT 2, max(id) FROM lineage_node WHERE kind = 'model' AND key = :reference AND entry < :below "
    "UNION ALL SELECT 3, max(id) FROM lineage_node "
    "WHERE kind = 'model' AND name = :name AND revision = :revision AND entry < :below "
    "UNION ALL SELECT 4, max(id) FROM lineage_node WHERE kind = 'model' AND name = :name AND entry < :below "
    "UNION ALL SELECT 5, max(id) FROM lineage_node WHERE kind = 'name' AND key = :name AND entry < :below"
    ") AS found WHERE id IS NOT NULL ORDER BY place LIMIT 1"
)
_ANY_SIZE = (1 << 63) - 1


def find_model_id(
    session: Session,
    reference: str,
    *,
    revision: str | None = None,
    weights: str | None = None,
    below: int | None = None,
) -> int | None:
    """The node that `find_model_node` finds."""
    asked = {
        "reference": reference,
        "name": normal_name(reference),
        "revision": revision or None,
        "weights": weights or None,
        "below": _ANY_SIZE if below is None else below,
    }
    number: int | None = session.connection().execute(_FIND_MODEL, asked).scalar_one_or_none()
    return number


def has_heirs(session: Session, log_size: int) -> bool:
    """Whether any entry below `log_size` says that a model or a sample was made of another."""
    query = "SELECT 1 FROM lineage_edge WHERE relation IN ('made', 'parent', 'same') AND entry < :size LIMIT 1"
    return session.connection().execute(text(query), {"size": log_size}).first() is not None


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


def sum_rows(session: Session, log_size: int) -> tuple[int, ...]:
    """Numbers that differ where what entries below `log_size` say does, for whoever keeps a graph that was read from it."""
    edges = "SELECT count(*), coalesce(sum(parent), 0), coalesce(sum(child), 0) FROM lineage_edge WHERE entry < :size"
    nodes = "SELECT count(*), coalesce(sum(id), 0), coalesce(sum(entry), 0) FROM lineage_node WHERE entry < :size"
    rows = (session.connection().execute(text(query), {"size": log_size}).one() for query in (edges, nodes))
    return tuple(int(number) for row in rows for number in row)


def load_edges(session: Session, log_size: int, first: int = 0) -> list[Any]:
    """(parent, child, relation, samples, tokens) of every edge that an entry below `log_size` says; with `first`, of those
    from it on, and of those before it that still grow.
    """
    query = (
        "SELECT parent, child, relation, samples, tokens FROM lineage_edge WHERE entry < :size "
        "AND (entry >= :first OR relation = 'parent') ORDER BY parent, child, relation"
    )
    return list(session.connection().execute(text(query), {"size": log_size, "first": first}))


def load_nodes(session: Session, log_size: int, first: int = 0) -> list[Any]:
    """(id, kind, key, name, entry, dataset, class, samples, tokens) of every node that had begun below `log_size`; with
    `first`, of those that began from it on, and of those before it that still grow.
    """
    query = (
        "SELECT id, kind, key, name, entry, dataset_id, fact_class_id, samples, tokens FROM lineage_node "
        "WHERE entry < :size AND (entry >= :first OR kind = 'samples') ORDER BY id"
    )
    return list(session.connection().execute(text(query), {"size": log_size, "first": first}))


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


def name_digests(session: Session, digests: Iterable[str]) -> dict[int, str]:
    """The digests of these fact classes, by id."""
    rows = session.exec(select(FactClass.id, FactClass.digest).where(col(FactClass.digest).in_(sorted(digests))))
    return {number or 0: digest for number, digest in rows}


def name_releases(session: Session) -> dict[str, str]:
    """`name@version` of every release, by id."""
    rows = session.exec(select(Release.id, Release.name, Release.version)).all()
    return {identifier: f"{name}@{version}" for identifier, name, version in rows}
