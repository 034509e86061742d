"""Queries over training runs: what the log says, and how the job goes."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from provenance.errors import NotFoundError
from provenance.store.jobs import list_jobs
from provenance.store.tables import Job, Model, Run, StatementRow

STATES = {"end": "done", "fail": "failed", "cancel": "cancelled"}


def list_phases(session: Session, run_id: str) -> list[StatementRow]:
    """The statements of one run in log order: plan, start, then how it ended."""
    query = select(StatementRow).where(StatementRow.kind == "run", StatementRow.key == run_id)
    return list(session.exec(query.order_by(col(StatementRow.index))).all())


def get_run(session: Session, run_id: str) -> dict[str, Any]:
    """One run as the API shows it; `state` is queued, running, done, failed or cancelled.

    Raises:
        NotFoundError: there is none.
    """
    job = session.get(Job, run_id)
    phases = list_phases(session, run_id)
    if not phases and (job is None or job.kind != "run"):
        raise NotFoundError(f"there is no run {run_id!r}")
    request = job.request if job else {}
    last = phases[-1].predicate if phases else {}
    state = STATES.get(last.get("phase", ""), job.state if job else "lost")
    return {
        "id": run_id,
        "state": state,
        "release": last.get("release") or request.get("release"),
        "student": last.get("student") or request.get("student"),
        "recipe": last.get("recipe") or request.get("recipe"),
        "progress": job.progress if job else {},
        "error": last.get("error") or (job.error if job else None),
        "model": last.get("model"),
        "entries": [{"phase": row.predicate["phase"], "index": row.index} for row in phases],
        "statement": last or None,
        "plan": phases[0].predicate if phases else None,
        "created_at": job.created_at if job else None,
    }


def list_runs(session: Session, *, limit: int = 100) -> list[dict[str, Any]]:
    """Runs, newest first."""
    logged = session.exec(select(Run.id).order_by(col(Run.index).desc()).limit(limit)).all()
    waiting = [job.id for job in list_jobs(session, "run") if job.id not in set(logged)]
    return [get_run(session, identifier) for identifier in [*waiting, *logged]]


def list_runs_of(session: Session, release_id: str) -> list[Run]:
    """The runs that trained on a release."""
    return list(session.exec(select(Run).where(Run.release == release_id).order_by(col(Run.index))).all())


def find_release_of_model(session: Session, reference: str) -> str | None:
    """The release that the model of this id or name was trained on here, or None."""
    query = select(Model).where((Model.id == reference) | (Model.name == reference)).order_by(col(Model.index).desc())
    model = session.exec(query).first()
    run = session.get(Run, model.run) if model and model.run else None
    return run.release if run else None
