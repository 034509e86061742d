"""What a tainted start reached: forward through releases, runs, models and what these models taught, any number of times.

- Generation 0 holds the start itself ("direct"); each model that is passed through adds one ("inherited").
- A thing is reached in the smallest generation that leads to it, so a ring of claims ends by itself.
- Nothing is left out for its size, and nothing depends on when it is asked: only on entries below the log size, so the same
  list can be made again from the entries alone (`recall.prove`).
- A model is reached as a base model or teacher by its name: what bears the name of a tainted model is taken for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session, col, func, select

from provenance.policy.verdict import PERMITTING
from provenance.recall.source import Start
from provenance.store.ranges import IndexSet
from provenance.store.tables import (
    Dataset,
    DecisionClass,
    FactClass,
    Model,
    Release,
    Run,
    SampleRow,
    StatementRow,
)

CHUNK = 400  # values in one query; SQLite and PostgreSQL both take more
RELEASED = ("allowed", "partial")
Part = tuple[int, int]  # a dataset's id and a fact class's


@dataclass
class Walk:
    """What was found so far, each with the generation in which it was; `whole` releases are tainted in every sample."""

    size: int
    classes: dict[int, int] = field(default_factory=dict)
    releases: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    tainted: dict[str, int] = field(default_factory=dict)  # tokens of a release that single samples taint
    whole: set[str] = field(default_factory=set)


def walk_forward(session: Session, start: Start, log_size: int) -> Walk:
    """Everything that `start` reached below `log_size`."""
    walk = Walk(log_size, classes=dict.fromkeys(start.classes, 0), models=dict.fromkeys(start.models, 0))
    releases, models, generation = _first_releases(session, walk, start), list(start.models), 0
    while releases or models:
        walk.releases.update(dict.fromkeys(releases, generation))
        runs = _runs_of(session, releases, walk)
        walk.runs.update({run.id: generation for run in runs})
        trained = [run.model for run in runs if run.model and run.model not in walk.models]
        walk.models.update(dict.fromkeys(trained, generation))
        classes = _taught_by(session, _with_descendants(session, [*models, *trained], walk), walk)
        generation += 1
        walk.classes.update(dict.fromkeys(classes, generation))
        releases, models = (
            [name for name in _releases_with(session, classes, log_size) if name not in walk.releases],
            [],
        )
    return walk


def _first_releases(session: Session, walk: Walk, start: Start) -> list[str]:
    walk.whole = {*start.releases, *_releases_of_datasets(session, start.datasets, walk.size)}
    found = [*sorted(walk.whole), *_releases_with(session, list(start.classes), walk.size)]
    parts = _parts_of(session, start.indices, walk.size)
    for name, tokens in _releases_of_parts(session, parts, start.indices, walk.size).items():
        walk.tainted[name] = tokens
        found.append(name)
    return list(dict.fromkeys(found))


def _releases_with(session: Session, classes: Sequence[int], size: int) -> list[str]:
    """The releases that let samples of these classes out."""
    found: dict[str, None] = {}
    for chunk in chunks(classes):
        query = (
            select(Release.id)
            .join(DecisionClass, col(DecisionClass.decision) == col(Release.decision))
            .where(col(DecisionClass.fact_class_id).in_(chunk), col(DecisionClass.verdict).in_(PERMITTING))
            .where(Release.index < size, col(Release.state).in_(RELEASED))
            .order_by(col(Release.index))
        )
        found.update(dict.fromkeys(session.exec(query).all()))
    return list(found)


def _releases_of_datasets(session: Session, datasets: Iterable[int], size: int) -> list[str]:
    names = session.exec(select(Dataset.name).where(col(Dataset.id).in_(list(datasets)))).all()
    query = select(Release.id).where(
        col(Release.dataset).in_(names), Release.index < size, col(Release.state).in_(RELEASED)
    )
    return list(session.exec(query.order_by(col(Release.index))).all())


def _parts_of(session: Session, indices: IndexSet, size: int) -> dict[Part, int]:
    """The first of `indices` in each dataset and class."""
    parts: dict[Part, int] = {}
    for first, last in indices.runs:
        query = (
            select(SampleRow.dataset_id, SampleRow.fact_class_id, func.min(SampleRow.index))
            .where(SampleRow.index >= first, SampleRow.index <= last, SampleRow.index < size)
            .group_by(col(SampleRow.dataset_id), col(SampleRow.fact_class_id))
        )
        for dataset, fact_class, index in session.exec(query):
            parts[dataset, fact_class] = min(index, parts.get((dataset, fact_class), index))
    return parts


def _releases_of_parts(session: Session, parts: Mapping[Part, int], indices: IndexSet, size: int) -> dict[str, int]:
    """The releases that hold some of `indices`, with the tokens of those."""
    names = {row.id: row.name for row in session.exec(select(Dataset)) if row.id in {dataset for dataset, _ in parts}}
    found: dict[str, int] = {}
    for (dataset, fact_class), first in parts.items():
        query = (
            select(Release.id, Release.log_size)
            .join(DecisionClass, col(DecisionClass.decision) == col(Release.decision))
            .where(Release.dataset == names[dataset], DecisionClass.fact_class_id == fact_class)
            .where(col(DecisionClass.verdict).in_(PERMITTING), Release.log_size > first)
            .where(Release.index < size, col(Release.state).in_(RELEASED))
        )
        for name, log_size in session.exec(query).all():
            tokens = _tokens_of(session, indices, (dataset, fact_class), log_size)
            found[name] = found.get(name, 0) + tokens
    return found


def _tokens_of(session: Session, indices: IndexSet, part: Part, below: int) -> int:
    total = 0
    for first, last in indices.runs:
        query = select(func.sum(SampleRow.tokens)).where(
            SampleRow.index >= first, SampleRow.index <= last, SampleRow.index < below,
            SampleRow.dataset_id == part[0], SampleRow.fact_class_id == part[1],
        )  # fmt: skip
        total += int(session.exec(query).one() or 0)
    return total


def _runs_of(session: Session, releases: Sequence[str], walk: Walk) -> list[Run]:
    found: list[Run] = []
    for chunk in chunks(releases):
        query = (
            select(Run).where(col(Run.release).in_(chunk), Run.first_index < walk.size).order_by(col(Run.first_index))
        )
        found.extend(run for run in session.exec(query) if run.id not in walk.runs)
    return found


def _with_descendants(session: Session, models: Sequence[str], walk: Walk) -> list[str]:
    """`models` and every model that was made from one of them as its base, however often."""
    children = _children_of(session, walk.size)
    names = _names_of(session, walk.size)
    found, waiting = dict.fromkeys(models), deque(models)
    while waiting:
        parent = waiting.popleft()
        for child in children.get(names.get(parent, ""), ()):
            if child not in found and child not in walk.models:
                found[child] = None
                walk.models[child] = walk.models[parent] + 1
                waiting.append(child)
    return list(found)


def _names_of(session: Session, size: int) -> dict[str, str]:
    return {row.id: row.name for row in session.exec(select(Model).where(Model.index < size))}


def _children_of(session: Session, size: int) -> dict[str, list[str]]:
    """Models by the name of each parent."""
    found: dict[str, list[str]] = {}
    query = select(StatementRow).where(StatementRow.kind == "model", StatementRow.index < size)
    for row in session.exec(query.order_by(col(StatementRow.index))):
        for parent in row.predicate["parents"]:
            found.setdefault(str(parent), []).append(row.key)
    return found


def _taught_by(session: Session, models: Sequence[str], walk: Walk) -> list[int]:
    """The fact classes whose teacher one of these models is."""
    names = _names_of(session, walk.size)
    found: list[int] = []
    for chunk in chunks(sorted({names[model] for model in models if model in names})):
        query = select(FactClass.id).where(col(FactClass.teacher).in_(chunk)).order_by(col(FactClass.id))
        found.extend(key for key in session.exec(query) if key is not None and key not in walk.classes)
    return found


def chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """`values` in parts that fit into one query."""
    return (values[place : place + CHUNK] for place in range(0, len(values), CHUNK))
