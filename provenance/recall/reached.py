"""What a recall reached, as plain values that are frozen and shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlmodel import Session, col, func, select

from provenance.policy.verdict import PERMITTING
from provenance.recall.reach import Walk, walk_forward
from provenance.recall.source import Start
from provenance.store.lineage import name_classes
from provenance.store.samples import weigh_parts
from provenance.store.tables import DecisionClass, Model, Release, Report, Run, SampleRow

CHUNK = 400  # values in one query; SQLite and PostgreSQL both take more


def find_reach(session: Session, start: Start, log_size: int) -> dict[str, Any]:
    """Everything that `start` reached below `log_size`.

    Returns:
        `classes`, `indices` (runs), `releases`, `runs`, `models`, `reports`, and `counts` of each with the samples and
        tokens; the same entries give the same value.
    """
    walk = walk_forward(session, start, log_size)
    classes = _describe_classes(session, walk)
    parts: dict[str, list[Any]] = {
        "classes": classes,
        "indices": [list(run) for run in start.indices.runs],
        "releases": _describe_releases(session, walk),
        "runs": _describe(session, Run, walk.runs, ("id", "release", "student", "phase", "model")),
        "models": _describe(session, Model, walk.models, ("id", "name", "kind", "run")),
        "reports": _describe(session, Report, walk.reports, ("id", "kind", "subject")),
    }
    tokens = sum(_tokens_of_run(session, run, log_size) for run in start.indices.runs)
    counts = {
        "samples": len(start.indices) + sum(item["samples"] for item in classes),
        "tokens": tokens + sum(item["tokens"] for item in classes),
        **{name: len(parts[name]) for name in ("releases", "runs", "models", "reports")},
    }
    return {**parts, "counts": counts}


def _how(generation: int) -> dict[str, Any]:
    return {"how": "inherited" if generation else "direct", "generation": generation}


def _describe_classes(session: Session, walk: Walk) -> list[dict[str, Any]]:
    weights, (datasets, classes) = weigh_parts(session, walk.size), name_classes(session)
    return [
        {
            "dataset": datasets[part[0]], "digest": classes[part[1]][0], "teacher": classes[part[1]][1],
            **_how(generation), "samples": weights[part][0], "tokens": weights[part][1],
        }
        for part, generation in sorted(walk.parts.items())
        if part in weights
    ]  # fmt: skip


def _describe_releases(session: Session, walk: Walk) -> list[dict[str, Any]]:
    tainted = {part[1] for part in walk.parts}
    found = []
    for release in _rows(session, Release, walk.releases):
        query = select(DecisionClass).where(
            DecisionClass.decision == release.decision, col(DecisionClass.verdict).in_(PERMITTING)
        )
        held = session.exec(query).all()
        tokens = sum(item.tokens for item in held)
        hit = tokens if release.id in walk.whole else sum(i.tokens for i in held if i.fact_class_id in tainted)
        hit = min(tokens, hit + walk.tainted.get(release.id, 0))
        said = {name: getattr(release, name) for name in ("id", "name", "version", "dataset")}
        share = f"{hit / max(1, tokens):.6f}"
        found.append({**said, **_how(walk.releases[release.id]), "tokens": tokens, "tokens_share": share})
    return found


def _describe(session: Session, table: Any, reached: Mapping[str, int], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {**{name: getattr(row, name) for name in names}, **_how(reached[row.id])}
        for row in _rows(session, table, reached)
    ]


def _tokens_of_run(session: Session, run: tuple[int, int], size: int) -> int:
    query = select(func.sum(SampleRow.tokens)).where(
        SampleRow.index >= run[0], SampleRow.index <= run[1], SampleRow.index < size
    )
    return int(session.exec(query).one() or 0)


def _rows(session: Session, table: Any, keys: Iterable[str]) -> list[Any]:
    named, found = sorted(keys), list[Any]()
    for place in range(0, len(named), CHUNK):
        found.extend(session.exec(select(table).where(col(table.id).in_(named[place : place + CHUNK]))).all())
    return sorted(found, key=lambda row: (row.index, row.id))
