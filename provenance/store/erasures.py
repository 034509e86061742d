"""Queries over erasures: what was asked, who agreed, what is gone.

An erasure is its statements (requested, approved, done) and the job that carries it out; both together give its state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, col, select

from provenance.errors import FieldError, NotFoundError
from provenance.store.jobs import list_jobs
from provenance.store.log import find_content, list_statements
from provenance.store.ranges import IndexSet, parse_runs
from provenance.store.tables import Job, StatementRow

REQUESTED, APPROVED, DONE, FAILED, RUNNING = "requested", "approved", "done", "failed", "running"
IN_FORCE = frozenset({APPROVED, DONE})
MAX_ERASURES = 10_000


def list_phases(session: Session, identifier: str) -> list[StatementRow]:
    """The statements of one erasure, in log order."""
    query = select(StatementRow).where(StatementRow.kind == "erasure", StatementRow.key == identifier)
    return list(session.exec(query.order_by(col(StatementRow.index))).all())


def get_erasure(session: Session, identifier: str) -> dict[str, Any]:
    """One erasure as the API shows it.

    Raises:
        NotFoundError: the log knows of none.
    """
    phases = list_phases(session, identifier)
    if not phases:
        expected = "an erasure's id"
        raise NotFoundError(f"there is no erasure {identifier!r}", FieldError("erasure", identifier, expected))
    said, job = phases[-1].predicate, find_attempt(session, identifier)
    return {
        **{name: value for name, value in said.items() if name not in {"phase", "at"}},
        "state": _state(said, job),
        "requested_at": phases[0].predicate["at"],
        "ended_at": said["at"] if said["phase"] == DONE else None,
        "entries": [{"phase": row.predicate["phase"], "index": row.index} for row in phases],
        "progress": job.progress if job and said["phase"] != DONE else {},
        "error": job.error if job and job.state == FAILED else None,
    }


def _state(said: Mapping[str, Any], job: Job | None) -> str:
    if said["phase"] == DONE:
        return DONE
    if job is not None:
        return FAILED if job.state == FAILED else RUNNING
    return REQUESTED if said["phase"] == REQUESTED else RUNNING


def find_attempt(session: Session, identifier: str) -> Job | None:
    """The newest job that carries out an erasure, or None before it was approved."""
    jobs = (job for job in list_jobs(session, "erasure", limit=MAX_ERASURES) if job.request["erasure"] == identifier)
    return max(jobs, key=lambda job: int(job.request["attempt"]), default=None)


def load_indices(session: Session, identifier: str) -> IndexSet:
    """The samples that an erasure names, as they were frozen when it was asked for.

    Raises:
        NotFoundError: the list is not stored.
    """
    phases = list_phases(session, identifier)
    content = find_content(session, phases[0].index) if phases else None
    if content is None:
        raise NotFoundError(f"the list of samples of erasure {identifier} is not stored")
    return parse_runs(content["runs"])


def list_erasures(session: Session, *, limit: int = 100) -> list[dict[str, Any]]:
    """Erasures, newest first."""
    rows = list_statements(session, "erasure", limit=MAX_ERASURES)
    newest = list(dict.fromkeys(row.key for row in rows))
    return [get_erasure(session, identifier) for identifier in newest[:limit]]


def list_in_force(session: Session) -> dict[str, Mapping[str, Any]]:
    """The newest statement of each erasure that was approved, by id."""
    rows = reversed(list_statements(session, "erasure", limit=MAX_ERASURES))
    return {row.key: row.predicate for row in rows if row.predicate["phase"] in IN_FORCE}


def find_erasure_of(session: Session, index: int) -> str | None:
    """The approved erasure that names the sample at `index`, or None."""
    return next((key for key in list_in_force(session) if index in load_indices(session, key)), None)


def flag_releases(session: Session) -> dict[str, dict[str, Any]]:
    """Release id -> which erasure took samples out of it, and how many."""
    flagged: dict[str, dict[str, Any]] = {}
    for identifier, said in list_in_force(session).items():
        for release in said["releases"]:
            before = flagged.get(release["id"])
            samples = release["samples"] + (before["samples"] if before else 0)
            flagged[release["id"]] = {"erasure": before["erasure"] if before else identifier, "samples": samples}
    return flagged
