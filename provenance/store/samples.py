"""Queries over samples, datasets and fact classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.store.log import MAX_INDEX
from provenance.store.tables import BLOCK_ENTRIES, ClassBlock, Dataset, FactClass, SampleRow

SELECTION_FIELDS = {"teacher", "route", "evidence", "fact_class"}
Part = tuple[int, int]  # a dataset's id and a fact class's


@dataclass(frozen=True)
class ClassCount:
    """A fact class within a selection, and what it holds."""

    id: int
    digest: str
    teacher: str
    facts: Mapping[str, Any]
    samples: int
    tokens: int


def get_sample(session: Session, index: int) -> SampleRow:
    """The row of the sample at `index`.

    Raises:
        NotFoundError: there is no entry there, or it is no sample.
    """
    row = session.get(SampleRow, index) if 0 <= index <= MAX_INDEX else None
    if row is None:
        raise NotFoundError(f"entry {index} is not a sample of this log")
    return row


def get_dataset(session: Session, name: str) -> Dataset:
    """The dataset of this name.

    Raises:
        NotFoundError: no sample names it.
    """
    row = session.exec(select(Dataset).where(Dataset.name == name)).one_or_none()
    if row is None:
        expected = "a dataset with at least one sample"
        raise NotFoundError(
            f"there is no dataset {name!r}; it begins with its first sample", FieldError("dataset", name, expected)
        )
    return row


def list_datasets(session: Session) -> list[Dataset]:
    """All datasets, by name."""
    return list(session.exec(select(Dataset).order_by(col(Dataset.name))).all())


def check_selection(selection: Mapping[str, Any]) -> dict[str, str]:
    """A selection within a dataset: `{teacher?: "provider/model", route?, evidence?, fact_class?}`.

    Raises:
        MalformedError: an unknown field, or a value that is no text.
    """
    for name, value in selection.items():
        if name not in SELECTION_FIELDS:
            expected = ", ".join(sorted(SELECTION_FIELDS))
            raise MalformedError(f"selection.{name}: unknown", FieldError(f"selection.{name}", value, expected))
        if not isinstance(value, str) or not re.fullmatch(r"[^\x00-\x1f]{1,300}", value):
            raise MalformedError(f"selection.{name}: expected text", FieldError(f"selection.{name}", value, "text"))
    return dict(selection)


def count_classes(session: Session, dataset: str, selection: Mapping[str, str], log_size: int) -> list[ClassCount]:
    """The fact classes of a dataset's samples below `log_size`, with counts, in the order of their numbers.

    Raises:
        NotFoundError: there is no such dataset.
    """
    dataset_id = get_dataset(session, dataset).id or 0
    weights = {part[1]: held for part, held in weigh_parts(session, log_size, dataset_id).items()}
    held = select(ClassBlock.fact_class_id).where(ClassBlock.dataset_id == dataset_id)
    rows = session.exec(select(FactClass).where(col(FactClass.id).in_(held)).order_by(col(FactClass.id)))
    return [
        ClassCount(row.id or 0, row.digest, row.teacher, row.facts, *weights[row.id or 0])
        for row in rows
        if row.id in weights and _selected(row, selection)
    ]


def weigh_parts(session: Session, log_size: int, dataset_id: int | None = None) -> dict[Part, tuple[int, int]]:
    """Samples and tokens below `log_size` of each (dataset, fact class), of one dataset or of all: the blocks that end by it,
    and the rows of the one that does not."""
    blocks = min(log_size, MAX_INDEX) // BLOCK_ENTRIES
    part = (col(ClassBlock.dataset_id), col(ClassBlock.fact_class_id))
    whole = select(*part, func.sum(ClassBlock.samples), func.sum(ClassBlock.tokens)).where(ClassBlock.block < blocks)
    row = (col(SampleRow.dataset_id), col(SampleRow.fact_class_id))
    rest = select(*row, func.count(), func.sum(SampleRow.tokens)).where(
        SampleRow.index >= blocks * BLOCK_ENTRIES, SampleRow.index < log_size
    )
    if dataset_id is not None:
        whole = whole.where(ClassBlock.dataset_id == dataset_id)
        # The sum keeps databases from walking the dataset's index, which holds all blocks.
        rest = rest.where(col(SampleRow.dataset_id) + 0 == dataset_id)
    weights: dict[Part, tuple[int, int]] = {}
    for query in (whole.group_by(*part), rest.group_by(*row)):
        for dataset, class_id, samples, tokens in session.exec(query).all():
            before = weights.get((dataset, class_id), (0, 0))
            weights[dataset, class_id] = (before[0] + int(samples), before[1] + int(tokens))
    return weights


def _selected(row: FactClass, selection: Mapping[str, str]) -> bool:
    seen = {
        "teacher": row.teacher,
        "route": row.facts["teacher"]["route"],
        "evidence": row.facts["evidence"],
        "fact_class": row.digest,
    }
    return all(seen[name] == value for name, value in selection.items())


def iterate_samples(session: Session, dataset: str, class_ids: Sequence[int], log_size: int) -> Iterator[SampleRow]:
    """The samples of a dataset in these classes below `log_size`, in log order, 1,000 rows in memory at a time."""
    dataset_id = get_dataset(session, dataset).id
    last = -1
    while True:
        query = (
            select(SampleRow)
            .where(
                SampleRow.dataset_id == dataset_id,
                SampleRow.index > last,
                SampleRow.index < log_size,
                col(SampleRow.fact_class_id).in_(class_ids),
            )
            .order_by(col(SampleRow.index))
            .limit(1000)
        )
        rows = session.exec(query).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].index


def list_samples(
    session: Session, *, where: Sequence[ColumnElement[bool]] = (), before: int | None = None, limit: int = 50
) -> list[tuple[SampleRow, FactClass, Dataset]]:
    """Samples with class and dataset, newest first, below index `before`."""
    query = (
        select(SampleRow, FactClass, Dataset)
        .join(FactClass, col(FactClass.id) == col(SampleRow.fact_class_id))
        .join(Dataset, col(Dataset.id) == col(SampleRow.dataset_id))
        .where(*where)
    )
    if before is not None:
        query = query.where(SampleRow.index < before)
    return list(session.exec(query.order_by(col(SampleRow.index).desc()).limit(limit)).all())


def name_classes(session: Session, indices: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Teacher and fact class of each of these samples, by index."""
    query = (
        select(SampleRow.index, FactClass.teacher, FactClass.digest)
        .join(FactClass, col(FactClass.id) == col(SampleRow.fact_class_id))
        .where(col(SampleRow.index).in_(indices))
    )
    return {index: (teacher, digest) for index, teacher, digest in session.exec(query)}
