"""Queries that only pages ask: samples by filter, facet counts, the newest verdict of each class, the log's growth.

- Lists go by keyset (`before`, `after` an index), never by OFFSET.
- Facets count slices (dataset, fact class) from the counts by block; no sample row is read for them.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from provenance.attestation.envelope import parse_entry
from provenance.attestation.statement import Statement
from provenance.store.log import MAX_INDEX
from provenance.store.segment import unpack_segment
from provenance.store.tables import (
    ClassBlock,
    Dataset,
    Decision,
    DecisionClass,
    EntrySegment,
    FactClass,
    Job,
    Release,
    Run,
    SampleRow,
    StatementRow,
    Student,
)

MAX_SLICES_APART = 64  # above, a filter keeps so much that walking the samples themselves finds a page sooner


@dataclass(frozen=True)
class Slice:
    """The samples of one dataset that have the same facts."""

    dataset: Dataset
    fact_class: FactClass
    samples: int

    @property
    def key(self) -> tuple[int, int]:
        """Dataset and class by number."""
        return self.dataset.id or 0, self.fact_class.id or 0


def list_slices(session: Session) -> list[Slice]:
    """Every slice with its count."""
    query = select(ClassBlock.dataset_id, ClassBlock.fact_class_id, func.sum(ClassBlock.samples)).group_by(
        col(ClassBlock.dataset_id), col(ClassBlock.fact_class_id)
    )
    datasets = {row.id: row for row in session.exec(select(Dataset))}
    classes = {row.id: row for row in session.exec(select(FactClass))}
    return [Slice(datasets[dataset], classes[kind], int(count)) for dataset, kind, count in session.exec(query).all()]


def list_newest(
    session: Session,
    slices: Sequence[Slice] | None,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = 50,
) -> list[SampleRow]:
    """Samples of these slices (None: of all), newest first; below `before`, or the ones next above `after`."""
    if slices is None:
        return _page(session, (), before, after, limit)
    if len(slices) > MAX_SLICES_APART:
        class_ids = {item.key[1] for item in slices}
        dataset_ids = {item.key[0] for item in slices}
        within = (col(SampleRow.dataset_id).in_(dataset_ids), col(SampleRow.fact_class_id).in_(class_ids))
        return _page(session, within, before, after, limit)
    parts = [
        _page(session, (SampleRow.dataset_id == dataset, SampleRow.fact_class_id == kind), before, after, limit)
        for dataset, kind in (item.key for item in slices)
    ]
    if after is not None:  # each part holds the ones next above: keep the lowest of all
        rows = heapq.nsmallest(limit, (row for part in parts for row in part), key=lambda row: row.index)
        return rows[::-1]
    return heapq.nlargest(limit, (row for part in parts for row in part), key=lambda row: row.index)


def _page(session: Session, where: Sequence[Any], before: int | None, after: int | None, limit: int) -> list[SampleRow]:
    query = select(SampleRow).where(*where)
    if after is not None:
        query = query.where(SampleRow.index > min(after, MAX_INDEX)).order_by(col(SampleRow.index)).limit(limit)
        return list(session.exec(query).all())[::-1]
    if before is not None:
        query = query.where(SampleRow.index < min(before, MAX_INDEX))
    return list(session.exec(query.order_by(col(SampleRow.index).desc()).limit(limit)).all())


def find_samples(session: Session, text: str, *, limit: int = 50) -> list[SampleRow]:
    """The samples whose index or external id is exactly `text`, newest first."""
    rows = list(
        session.exec(
            select(SampleRow).where(SampleRow.external_id == text).order_by(col(SampleRow.index).desc()).limit(limit)
        )
    )
    if text.isdecimal() and int(text) <= MAX_INDEX:
        row = session.get(SampleRow, int(text))
        if row is not None and row not in rows:
            rows.append(row)
    return sorted(rows, key=lambda row: -row.index)


def list_latest(session: Session) -> dict[int, DecisionClass]:
    """What the newest decision that covers a fact class said of it, by class number."""
    newest = (
        select(DecisionClass.fact_class_id, func.max(Decision.index).label("newest"))
        .join(Decision, col(Decision.id) == col(DecisionClass.decision))
        .group_by(col(DecisionClass.fact_class_id))
        .subquery()
    )
    query = (
        select(DecisionClass)
        .join(Decision, col(Decision.id) == col(DecisionClass.decision))
        .join(
            newest,
            (newest.c.fact_class_id == col(DecisionClass.fact_class_id)) & (newest.c.newest == col(Decision.index)),
        )
    )
    return {row.fact_class_id: row for row in session.exec(query).all()}


def list_release_classes(session: Session) -> list[tuple[Release, DecisionClass]]:
    """Every release with each class that its decision judged, newest release first."""
    query = (
        select(Release, DecisionClass)
        .join(DecisionClass, col(DecisionClass.decision) == col(Release.decision))
        .order_by(col(Release.index).desc())
    )
    return list(session.exec(query).all())


def name_students(session: Session) -> dict[str, str]:
    """The name of each declared student by its id."""
    return {row.id: row.name for row in session.exec(select(Student))}


def load_statements(session: Session, indices: Sequence[int]) -> Mapping[int, Statement]:
    """The statements of many entries; each segment is unpacked once."""
    found: dict[int, Statement] = {}
    items: list[bytes] = []
    start = end = 0
    for index in sorted(indices):
        if not start <= index < end:
            query = select(EntrySegment).where(EntrySegment.first_index <= index)
            row = session.exec(query.order_by(col(EntrySegment.first_index).desc()).limit(1)).one()
            start, end, items = row.first_index, row.first_index + row.count, unpack_segment(row.frames)
            session.expunge(row)
        found[index] = parse_entry(items[index - start])
    return found


def list_appends(session: Session, *, limit: int) -> tuple[list[tuple[int, int]], int]:
    """(size after, entries added) of the newest appends, oldest first, and how many older ones there are."""
    query = select(EntrySegment.first_index, EntrySegment.count).order_by(col(EntrySegment.first_index).desc())
    rows = [(first + count, count) for first, count in session.exec(query.limit(limit)).all()]
    total = session.exec(select(func.count()).select_from(EntrySegment)).one()
    return rows[::-1], total - len(rows)


def count_kinds(session: Session) -> dict[str, int]:
    """How many entries of each kind the log holds, the most frequent first."""
    query = select(StatementRow.kind, func.count()).group_by(col(StatementRow.kind))
    counts: dict[str, int] = dict(session.exec(query).all())
    samples = session.exec(select(func.sum(Dataset.samples))).one() or 0
    return dict(sorted({**counts, "sample": int(samples)}.items(), key=lambda item: (-item[1], item[0])))


def find_by_prefix(session: Session, kinds: Sequence[str], prefix: str, *, limit: int) -> list[StatementRow]:
    """Statements of these kinds whose key begins with `prefix`; a key that stands twice is given once, its newest."""
    found: dict[tuple[str, str], StatementRow] = {}
    for kind in kinds:
        query = select(StatementRow).where(
            StatementRow.kind == kind, StatementRow.key >= prefix, StatementRow.key < prefix + "\uffff"
        )
        for row in session.exec(query.order_by(col(StatementRow.key), col(StatementRow.index)).limit(limit)):
            found[kind, row.key] = row
    return list(found.values())[:limit]


def list_failed_jobs(session: Session, *, limit: int = 100) -> list[Job]:
    """Jobs that failed, newest first."""
    query = select(Job).where(Job.state == "failed").order_by(col(Job.updated_at).desc(), col(Job.id)).limit(limit)
    return list(session.exec(query).all())


def list_children(session: Session, name: str) -> list[tuple[str, str]]:
    """(id, `provider/name`) of the registered models that name this one among their parents."""
    rows = session.exec(select(StatementRow).where(StatementRow.kind == "model").order_by(col(StatementRow.index)))
    found = {
        row.key: f"{row.predicate['provider']}/{row.predicate['name']}"
        for row in rows
        if name in row.predicate["parents"]
    }
    return list(found.items())


def find_run_of_release(session: Session, release_id: str) -> str | None:
    """The newest run that trained on a release."""
    query = select(Run.id).where(Run.release == release_id).order_by(col(Run.index).desc())
    return session.exec(query).first()
