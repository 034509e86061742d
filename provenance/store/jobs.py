"""Jobs: long work that this service was asked for, its state and progress."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, func, select

from provenance.errors import ConflictError, FieldError, NotFoundError
from provenance.store.tables import Job

ASKED = (
    col(Job.number),
    col(Job.created_at),
    col(Job.id),
)  # of jobs from before they were numbered, time is all there is
ENDED = frozenset({"done", "failed", "cancelled"})


def create_job(session: Session, *, identifier: str, kind: str, request: dict[str, Any], now: str) -> Job:
    """Add a job, or answer the one that has this id already.

    Raises:
        ConflictError: it exists and was asked for something else (an Idempotency-Key used twice).
    """
    job = session.get(Job, identifier)
    if job is None:
        number = (session.exec(select(func.max(Job.number))).one() or 0) + 1
        said: dict[str, Any] = {"kind": kind, "state": "queued", "request": request, "number": number}
        job = Job(id=identifier, **said, created_at=now, updated_at=now)
        session.add(job)
        session.flush()
    elif job.request != request:
        expected = "a new key, or the same request as before"
        raise ConflictError(
            "the Idempotency-Key was used for another request", FieldError("Idempotency-Key", identifier, expected)
        )
    return job


def find_job(session: Session, identifier: str) -> Job | None:
    """The job of this id, or None."""
    return session.get(Job, identifier)


def get_job(session: Session, identifier: str) -> Job:
    """The job of this id.

    Raises:
        NotFoundError: there is none.
    """
    job = session.get(Job, identifier)
    if job is None:
        raise NotFoundError(f"there is no job {identifier!r}")
    return job


def update_job(
    session: Session,
    identifier: str,
    *,
    now: str,
    state: str | None = None,
    progress: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> Job:
    """Say how a job goes."""
    job = get_job(session, identifier)
    job.updated_at = now
    if state is not None:
        job.state = state
    if progress is not None:
        job.progress = {**job.progress, **progress}
    if error is not None:
        job.error = error
    session.add(job)
    session.flush()
    return job


def list_jobs(session: Session, kind: str, *, limit: int = 100) -> list[Job]:
    """The newest jobs of one kind."""
    query = select(Job).where(Job.kind == kind).order_by(*(column.desc() for column in ASKED)).limit(limit)
    return list(session.exec(query).all())


def list_queued(session: Session, kind: str) -> list[Job]:
    """The jobs of one kind that have not begun, in the order in which they were asked for."""
    query = select(Job).where(Job.kind == kind, Job.state == "queued").order_by(*ASKED)
    return list(session.exec(query).all())
