"""What a recall reached, as plain values that are frozen and shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlmodel import Session, col, func, select

from provenance.policy.verdict import PERMITTING
from provenance.recall.reach import Walk, chunks, walk_forward
from provenance.recall.source import Start
from provenance.store.samples import weigh_classes
from provenance.store.tables import Dataset, DecisionClass, FactClass, Model, Release, Report, Run, SampleRow


def find_reach(session: Session, start: Start, log_size: int) -> dict[str, Any]:
    """Everything that `start` reached below `log_size`.

    Returns:
        `classes`, `datasets`, `indices` (runs), `releases`, `runs`, `models`, `reports`, and `counts` of each with the
        samples and tokens; the same entries give the same value.
    """
    walk = walk_forward(session, start, log_size)
    weights = weigh_classes(session, None, walk.size)
    rows = {row.id: row for row in session.exec(select(FactClass))}
    classes = [
        {
            "digest": rows[key].digest, "teacher": rows[key].teacher, **_how(generation),
            "samples": weights[key][0], "tokens": weights[key][1],
        }
        for key, generation in sorted(walk.classes.items())
        if key in weights
    ]  # fmt: skip
    parts: dict[str, list[Any]] = {
        "classes": classes,
        "datasets": _describe_datasets(session, start, walk.size),
        "indices": [list(run) for run in start.indices.runs],
        "releases": _describe_releases(session, walk),
        "runs": _describe_runs(session, walk),
        "models": _describe_models(session, walk),
        "reports": _describe_reports(session, walk),
    }
    tokens = sum(_tokens_of_run(session, run, walk.size) for run in start.indices.runs)
    named = [*classes, *parts["datasets"]]
    counts = {
        "samples": len(start.indices) + sum(item["samples"] for item in named),
        "tokens": tokens + sum(item["tokens"] for item in named),
        **{name: len(parts[name]) for name in ("releases", "runs", "models", "reports")},
    }
    return {**parts, "counts": counts}


def _how(generation: int) -> dict[str, Any]:
    return {"how": "inherited" if generation else "direct", "generation": generation}


def _tokens_of_run(session: Session, run: tuple[int, int], size: int) -> int:
    query = select(func.sum(SampleRow.tokens)).where(
        SampleRow.index >= run[0], SampleRow.index <= run[1], SampleRow.index < size
    )
    return int(session.exec(query).one() or 0)


def _describe_datasets(session: Session, start: Start, size: int) -> list[dict[str, Any]]:
    found = []
    for row in session.exec(select(Dataset).where(col(Dataset.id).in_(list(start.datasets))).order_by(Dataset.name)):
        held = weigh_classes(session, row.id, size).values()
        found.append({"name": row.name, "samples": sum(s for s, _ in held), "tokens": sum(t for _, t in held)})
    return found


def _describe_releases(session: Session, walk: Walk) -> list[dict[str, Any]]:
    found = []
    for release in _rows(session, Release, walk.releases):
        query = select(DecisionClass).where(
            DecisionClass.decision == release.decision, col(DecisionClass.verdict).in_(PERMITTING)
        )
        held = session.exec(query).all()
        tokens = sum(item.tokens for item in held)
        tainted = (
            tokens
            if release.id in walk.whole
            else sum(item.tokens for item in held if item.fact_class_id in walk.classes)
        )
        tainted = min(tokens, tainted + walk.tainted.get(release.id, 0))
        found.append(
            {
                **{name: getattr(release, name) for name in ("id", "name", "version", "dataset")},
                **_how(walk.releases[release.id]),
                "tokens": tokens,
                "tokens_share": f"{tainted / max(1, tokens):.6f}",
            }
        )
    return found


def _describe_runs(session: Session, walk: Walk) -> list[dict[str, Any]]:
    names = ("id", "release", "student", "phase", "model")
    return [
        {**{name: getattr(run, name) for name in names}, **_how(walk.runs[run.id])}
        for run in _rows(session, Run, walk.runs)
    ]


def _describe_models(session: Session, walk: Walk) -> list[dict[str, Any]]:
    return [
        {**{name: getattr(model, name) for name in ("id", "name", "kind", "run")}, **_how(walk.models[model.id])}
        for model in _rows(session, Model, walk.models)
    ]


def _describe_reports(session: Session, walk: Walk) -> list[dict[str, Any]]:
    about = {**walk.releases, **walk.runs, **walk.models}
    found: list[Report] = []
    for chunk in chunks(sorted(about)):
        query = select(Report).where(col(Report.subject).in_(chunk), Report.index < walk.size)
        found.extend(session.exec(query).all())
    return [
        {"id": row.id, "kind": row.kind, "subject": row.subject, **_how(about[row.subject])}
        for row in sorted(found, key=lambda row: row.index)
    ]


def _rows(session: Session, table: Any, keys: Iterable[str]) -> list[Any]:
    found: list[Any] = []
    for chunk in chunks(sorted(keys)):
        found.extend(session.exec(select(table).where(col(table.id).in_(chunk))).all())
    return sorted(found, key=lambda row: (row.index, row.id))
