"""Queries over reports, finished (in the log) and in building (jobs)."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from provenance.errors import NotFoundError
from provenance.store.jobs import list_jobs
from provenance.store.log import find_statement
from provenance.store.tables import Job, Report


def get_report(session: Session, identifier: str) -> dict[str, Any]:
    """One report as the API shows it; `state` is queued, running, done or failed.

    Raises:
        NotFoundError: neither the log nor the jobs know it.
    """
    job = session.get(Job, identifier)
    row = find_statement(session, "report", identifier)
    if row is None and (job is None or job.kind != "report"):
        raise NotFoundError(f"there is no report {identifier!r}")
    said = row.predicate if row else {}
    request = job.request if job else {}
    return {
        "id": identifier,
        "kind": said.get("kind") or request.get("kind"),
        "subject": said.get("subject") or {"kind": "release", "id": request.get("release")},
        "state": job.state if job else "done",
        "log_size": said.get("log_size"),
        "files": said.get("files", []),
        "missing": job.progress.get("missing", {}) if job else {},
        "previous": said.get("previous"),
        "entry": row.index if row else None,
        "created_at": job.created_at if job else None,
        "error": job.error if job else None,
    }


def find_report_about(session: Session, subject: str) -> str | None:
    """The newest logged report about `subject`."""
    query = select(Report.id).where(Report.subject == subject).order_by(col(Report.index).desc())
    return session.exec(query).first()


def list_reports(session: Session, *, limit: int = 100) -> list[dict[str, Any]]:
    """Reports, newest first; those that the log does not hold yet come first."""
    logged = session.exec(select(Report.id).order_by(col(Report.index).desc()).limit(limit)).all()
    waiting = [job.id for job in list_jobs(session, "report") if job.id not in set(logged)]
    return [get_report(session, identifier) for identifier in [*waiting, *logged]]


def list_reports_about(session: Session, subject: str) -> list[Report]:
    """The reports about one subject, newest first."""
    return list(session.exec(select(Report).where(Report.subject == subject).order_by(col(Report.index).desc())).all())
