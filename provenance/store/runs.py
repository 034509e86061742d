"""Queries over training runs: what the log says, and how the job goes.

A run that ended early may be resumed. Each attempt is a job of its own, and the log counts them: one, and one for each
`resume` statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, select

from provenance.errors import NotFoundError
from provenance.store.jobs import list_jobs
from provenance.store.tables import Job, Model, Run, StatementRow

STATES = {"end": "done", "fail": "failed", "cancel": "cancelled"}
RESUME = "resume"


def job_of_attempt(run_id: str, attempt: int) -> str:
    """The job that carries out an attempt of a run; the first one has the run's own id."""
    return run_id if attempt == 1 else f"{run_id}.{attempt}"


def run_of_job(job_id: str) -> str:
    """The run that a job is an attempt of."""
    return job_id.partition(".")[0]


def count_attempts(phases: Sequence[StatementRow]) -> int:
    """How many attempts the statements of a run tell of."""
    return 1 + [row.predicate["phase"] for row in phases].count(RESUME)


def list_phases(session: Session, run_id: str) -> list[StatementRow]:
    """The statements of one run in log order: plan, start, then how it ended."""
    query = select(StatementRow).where(StatementRow.kind == "run", StatementRow.key == run_id)
    return list(session.exec(query.order_by(col(StatementRow.index))).all())


def get_run(session: Session, run_id: str) -> dict[str, Any]:
    """One run as the API shows it; `state` is queued, running, done, failed or cancelled.

    Raises:
        NotFoundError: there is none.
    """
    phases = list_phases(session, run_id)
    first = session.get(Job, run_id)
    job = session.get(Job, job_of_attempt(run_id, count_attempts(phases))) or first
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
        "attempt": count_attempts(phases),
        "created_at": first.created_at if first else None,
    }


def list_runs(session: Session, *, limit: int = 100) -> list[dict[str, Any]]:
    """Runs, newest first."""
    logged = session.exec(select(Run.id).order_by(col(Run.index).desc()).limit(limit)).all()
    asked = dict.fromkeys(run_of_job(job.id) for job in list_jobs(session, "run"))
    waiting = [run for run in asked if run not in set(logged)]
    return [get_run(session, identifier) for identifier in [*waiting, *logged]]


def list_unheard_resumes(session: Session) -> list[str]:
    """Runs whose last statement says that they are resumed and whose attempt has no job: the service died between them."""
    resumed = session.exec(select(Run.id).where(Run.phase == RESUME).order_by(col(Run.index))).all()
    return [run for run in resumed if find_attempt(session, run) is None]


def find_attempt(session: Session, run_id: str) -> Job | None:
    """The job of a run's newest attempt, or None."""
    return session.get(Job, job_of_attempt(run_id, count_attempts(list_phases(session, run_id))))


def list_runs_of(session: Session, release_id: str) -> list[Run]:
    """The runs that trained on a release."""
    return list(session.exec(select(Run).where(Run.release == release_id).order_by(col(Run.index))).all())


def find_release_of_model(session: Session, reference: str) -> str | None:
    """The release that the model of this id or name was trained on here, or None."""
    query = select(Model).where((Model.id == reference) | (Model.name == reference)).order_by(col(Model.index).desc())
    model = session.exec(query).first()
    run = session.get(Run, model.run) if model and model.run else None
    return run.release if run else None
