"""Queries over releases, finished (in the log) and in building (jobs)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, func, select

from provenance.errors import DeniedError, FieldError, NotFoundError
from provenance.store.approvals import APPROVED, fold_approval, list_approvals
from provenance.store.erasures import flag_releases
from provenance.store.jobs import list_jobs
from provenance.store.log import find_statement, get_statement
from provenance.store.recalls import load_held
from provenance.store.tables import Job, Release, StatementRow
from provenance.store.withdrawals import list_withdrawn

FAILED, WITHDRAWN, RECALLED = "failed", "withdrawn", "recalled"
TAKEN = frozenset({WITHDRAWN, RECALLED})  # signed once, and not given out any more


def next_version(session: Session, name: str, identifier: str) -> int:
    """The version that a new release of `name` gets; the one it has if job `identifier` exists already."""
    job = session.get(Job, identifier)
    if job is not None:
        return int(job.request["version"])
    logged = session.exec(select(func.max(Release.version)).where(Release.name == name)).one() or 0
    asked = [
        row.request["version"]
        for row in session.exec(select(Job).where(Job.kind == "release"))
        if row.request["name"] == name
    ]
    return int(max(logged, *asked, 0)) + 1


def find_previous(session: Session, name: str, version: int) -> int | None:
    """The newest version of `name` in the log that is older than `version`."""
    query = select(func.max(Release.version)).where(Release.name == name, Release.version < version)
    return session.exec(query).one()


def get_release(session: Session, reference: str) -> dict[str, Any]:
    """One release by id or `name@version`, as the API shows it.

    Raises:
        NotFoundError: neither the log nor the jobs know it.
    """
    identifier = _find_id(session, reference)
    row = find_statement(session, "release", identifier)
    if row is not None:
        return _logged(session, row.predicate, row.index, _load_marks(session, [identifier]))
    job = session.get(Job, identifier)
    if job is None or job.kind != "release":
        raise _not_found(reference)
    return _building(job)


def _not_found(reference: str) -> NotFoundError:
    expected = "a release, by id or name@version"
    return NotFoundError(f"there is no release {reference!r}", FieldError("release", reference, expected))


def _find_id(session: Session, reference: str) -> str:
    name, _, version = reference.rpartition("@")
    if not name or not re.fullmatch(r"[0-9]{1,9}", version):
        return reference
    found = session.exec(select(Release.id).where(Release.name == name, Release.version == int(version))).first()
    if found:
        return found
    for job in list_jobs(session, "release"):
        if job.request["name"] == name and job.request["version"] == int(version):
            return job.id
    raise _not_found(reference)


@dataclass(frozen=True)
class _Marks:
    """What happened to releases after they were signed, by release id."""

    erased: Mapping[str, dict[str, Any]]
    withdrawn: Mapping[str, dict[str, Any]]
    recalled: Mapping[str, str]
    approvals: Mapping[str, Sequence[StatementRow]]


def _load_marks(session: Session, releases: Sequence[str]) -> _Marks:
    approvals = list_approvals(session, releases)
    return _Marks(flag_releases(session), list_withdrawn(session), load_held(session).releases, approvals)


def _logged(session: Session, predicate: dict[str, Any], index: int, marks: _Marks) -> dict[str, Any]:
    decision = get_statement(session, "decision", predicate["decision"]["id"])
    identifier = predicate["id"]
    erased, withdrawn = marks.erased.get(identifier), marks.withdrawn.get(identifier)
    recalled = marks.recalled.get(identifier)
    return {
        **{name: predicate[name] for name in ("id", "name", "version", "dataset", "student", "counts")},
        # What an erasure took samples out of is no longer what was signed.
        "state": RECALLED if recalled else WITHDRAWN if erased or withdrawn else predicate["state"],
        "erased": erased,
        "withdrawn": withdrawn,
        "recall": recalled,
        "approval": fold_approval(predicate, marks.approvals[identifier]),
        "requested_by": predicate.get("requested_by"),
        "decision": {
            "id": decision.predicate["id"],
            "entry": decision.index,
            "verdict": decision.predicate["verdict"],
            "classes": decision.predicate["classes"],
        },
        **{name: predicate[name] for name in ("conditions", "manifest_digest", "log_size", "files")},
        "splits": predicate.get("splits", {}),
        "leaves_root": predicate.get("leaves_root"),
        "index_set_digest": predicate.get("index_set_digest"),
        "entry": index,
        "progress": {},
        "error": None,
    }


def _building(job: Job) -> dict[str, Any]:
    request = job.request
    return {
        **{name: request[name] for name in ("name", "version", "dataset", "student")},
        "id": job.id,
        "state": FAILED if job.state == FAILED else "building",
        "erased": None,
        "withdrawn": None,
        "recall": None,
        "approval": None,
        "requested_by": request.get("requested_by"),
        "counts": {"selected": 0, "released": 0, "quarantined": 0},
        "decision": None,
        "conditions": [],
        "manifest_digest": None,
        "log_size": None,
        "files": [],
        "splits": {},
        "leaves_root": None,
        "index_set_digest": None,
        "entry": None,
        "progress": job.progress,
        "error": job.error,
    }


def list_releases(session: Session, *, limit: int = 100) -> list[dict[str, Any]]:
    """Releases, newest first; those that the log does not hold yet come first."""
    rows = session.exec(select(Release).order_by(col(Release.index).desc()).limit(limit)).all()
    logged = {row.id for row in rows}
    building = [_building(job) for job in list_jobs(session, "release") if job.id not in logged]
    marks = _load_marks(session, [row.id for row in rows])
    said = [get_statement(session, "release", row.id) for row in rows]
    return building + [_logged(session, row.predicate, row.index, marks) for row in said]


def refuse_unapproved(release: Mapping[str, Any], code: str, rules: Sequence[Mapping[str, Any]] = ()) -> None:
    """Refuse a release (as `get_release` gives it) that a second person must approve and has not.

    Args:
        code: of the error.
        rules: what asks for it beside its own decision, such as the pack of today.
    Raises:
        DeniedError: with its decision.
    """
    approval = release["approval"] or {"state": None, "rules": []}
    if approval["state"] == APPROVED or not (asking := [*approval["rules"], *rules]):
        return
    name = f"{release['name']}@{release['version']}"
    why = ", ".join(dict.fromkeys(rule["id"] for rule in asking))
    raise DeniedError(
        f"release {name} awaits the approval of a second person ({why}); until then nobody may use its data",
        release["decision"],
        code=code,
    )


def name_releases(session: Session, decisions: Set[str]) -> dict[str, list[str]]:
    """The releases `name@version` that were made of each decision."""
    found: dict[str, list[str]] = {}
    for row in session.exec(select(Release).order_by(col(Release.index))):
        if row.decision in decisions:
            found.setdefault(row.decision, []).append(f"{row.name}@{row.version}")
    return found
