"""Which samples an erasure is about, and what it would reach: looked up before anything is asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from provenance.errors import ConflictError, FieldError, MalformedError, NotFoundError
from provenance.store.erasures import list_in_force, load_indices
from provenance.store.log import MAX_INDEX, get_head
from provenance.store.ranges import IndexSet, fold_indices
from provenance.store.samples import check_selection, count_classes, iterate_samples
from provenance.store.tables import Dataset, SampleRow

MAX_SAMPLES = 1_000_000
CHUNK = 500
_RUN = re.compile(r"(0|[1-9][0-9]{0,17})(?:-(0|[1-9][0-9]{0,17}))?\Z", re.ASCII)
INDEX_FORM = "an entry index, or a run such as 6-9"


@dataclass(frozen=True)
class Query:
    """What was asked for: entries by index, by external id, or a dataset narrowed by a selection. They add up."""

    indices: Sequence[int | str] = ()
    external_ids: Sequence[str] = ()
    dataset: str | None = None
    selection: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Chosen:
    """The samples that a query means, with their tokens, also by dataset: name, samples, tokens, share of its tokens."""

    indices: IndexSet
    tokens: int
    datasets: Sequence[Mapping[str, Any]]


def choose_rows(session: Session, query: Query) -> list[SampleRow]:
    """The samples of a query, whether or not their text was erased, in the order of the log.

    Raises:
        MalformedError: nothing is asked for, an index or selection has another form, or too much at once.
        NotFoundError: an entry is no sample, an external id or dataset is not there.
    """
    named = [*_by_index(session, query.indices), *_by_external_id(session, query.external_ids)]
    rows = {row.index: row for row in (*named, *_by_query(session, query))}
    _check_count(rows, "indices, external_ids, or a dataset with samples")
    return [rows[index] for index in sorted(rows)]


def choose_samples(session: Session, query: Query) -> Chosen:
    """The samples of a query that still have their text.

    Raises:
        MalformedError: nothing is asked for, an index or selection has another form, or too much at once.
        NotFoundError: an entry is no sample, an external id or dataset is not there.
        ConflictError: a sample that is named was erased before, or all that the query selects.
    """
    named = [*_by_index(session, query.indices), *_by_external_id(session, query.external_ids)]
    gone = {key: load_indices(session, key) for key in list_in_force(session)}
    for row in named:
        if (by := _erased_by(row.index, gone)) is not None:
            expected = "a sample that still has its text"
            raise ConflictError(
                f"sample {row.index} was erased by {by}; nothing was changed",
                FieldError("indices", row.index, expected),
            )
    selected = list(_by_query(session, query))
    left = [row for row in selected if _erased_by(row.index, gone) is None]
    rows = {row.index: row for row in (*named, *left)}
    if not rows and selected:
        expected = "a sample that still has its text"
        raise ConflictError(
            "all samples that this selects were erased before; nothing was changed",
            FieldError("selection", dict(query.selection or {}), expected),
        )
    _check_count(rows, "indices, external_ids, or a dataset with samples that still have their text")
    return Chosen(fold_indices(rows), sum(row.tokens for row in rows.values()), _by_dataset(session, rows.values()))


def _check_count(rows: Mapping[int, SampleRow], expected: str) -> None:
    if not rows:
        raise MalformedError(f"no sample is asked for: expected {expected}", FieldError("indices", None, expected))
    if len(rows) > MAX_SAMPLES:
        most = f"at most {MAX_SAMPLES:,} samples"
        raise MalformedError(f"expected {most}", FieldError("selection", len(rows), most))


def _erased_by(index: int, gone: Mapping[str, IndexSet]) -> str | None:
    return next((key for key, indices in gone.items() if index in indices), None)


def _by_index(session: Session, items: Sequence[int | str]) -> list[SampleRow]:
    found: list[SampleRow] = []
    for place, item in enumerate(items):
        first, last = _parse_run(place, item)
        query = (
            select(SampleRow).where(SampleRow.index >= first, SampleRow.index <= last).order_by(col(SampleRow.index))
        )
        rows = session.exec(query.limit(MAX_SAMPLES + 1)).all()
        if len(rows) <= MAX_SAMPLES and len(rows) != last - first + 1:
            seen = {row.index for row in rows}
            missing = next(index for index in range(first, last + 1) if index not in seen)
            raise NotFoundError(
                f"entry {missing} is not a sample of this log; nothing was changed",
                FieldError(f"indices[{place}]", item, "entries that are samples"),
            )
        found.extend(rows)
    return found


def _parse_run(place: int, item: int | str) -> tuple[int, int]:
    match = _RUN.match(str(item)) if not isinstance(item, bool) else None
    if match is None:
        raise MalformedError(
            f"indices[{place}]: expected {INDEX_FORM}", FieldError(f"indices[{place}]", item, INDEX_FORM)
        )
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last <= MAX_INDEX:
        raise MalformedError(
            f"indices[{place}]: the run ends before it begins", FieldError(f"indices[{place}]", item, INDEX_FORM)
        )
    return first, last


def _by_external_id(session: Session, names: Sequence[str]) -> list[SampleRow]:
    found: list[SampleRow] = []
    for place, name in enumerate(names):
        rows = session.exec(select(SampleRow).where(SampleRow.external_id == name)).all()
        if not rows:
            raise NotFoundError(
                f"no sample has the external id {name!r}; nothing was changed",
                FieldError(f"external_ids[{place}]", name, "the external id of a sample"),
            )
        found.extend(rows)
    return found


def _by_query(session: Session, query: Query) -> Iterable[SampleRow]:
    selection = check_selection(query.selection or {})
    if query.dataset is None:
        if selection:
            expected = "the dataset that it selects from"
            raise MalformedError(f"dataset: expected {expected}", FieldError("dataset", None, expected))
        return ()
    size = get_head(session).size
    classes = [count.id for count in count_classes(session, query.dataset, selection, size)]
    return iterate_samples(session, query.dataset, classes, size) if classes else ()


def _by_dataset(session: Session, rows: Iterable[SampleRow]) -> list[dict[str, Any]]:
    samples: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    for row in rows:
        samples[row.dataset_id] += 1
        tokens[row.dataset_id] += row.tokens
    datasets = session.exec(select(Dataset).where(col(Dataset.id).in_(list(samples))).order_by(col(Dataset.name))).all()
    return [
        {
            "name": item.name,
            "samples": samples[item.id or 0],
            "tokens": tokens[item.id or 0],
            "tokens_share": round(tokens[item.id or 0] / max(1, item.tokens), 6),
        }
        for item in datasets
    ]
