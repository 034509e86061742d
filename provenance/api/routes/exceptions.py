"""Exceptions: asked for by one person, approved by two others, refused or revoked. Every step is an entry.

The rules of who may do what when are `policy.exception`'s; here is only who is asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from pydantic import Field

from provenance.api.body import RequestBody, read_fit_json
from provenance.api.deps import Actor, IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.api.once import find_done, once_of
from provenance.api.routes.agreements import Reason
from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import NotFoundError
from provenance.ledger.append import format_time
from provenance.policy.exception import Step, find_objection, fold_exception
from provenance.policy.requests import check_exception
from provenance.runtime import Runtime
from provenance.store.lifts import list_histories, list_requests, list_steps, list_uses
from provenance.store.log import MAX_INDEX
from provenance.store.students import get_student
from provenance.store.tables import StatementRow

router = APIRouter(prefix="/api/v1/exceptions", tags=["exceptions"])
SCOPE = ("actions", "rules", "dataset", "fact_classes", "teacher")


class Note(RequestBody):
    """What an approver wants to have on record; it may be left out."""

    reason: str | None = Field(default=None, max_length=4096)


@router.post("", status_code=201)
def post_exception(
    runtime: RuntimeDep,
    session: SessionDep,
    actor: WriterDep,
    key: IdempotencyDep,
    body: Annotated[Any, Depends(read_fit_json)],
) -> dict[str, Any]:
    """Ask for an exception: `{reason, student, actions, rules, expires_on}` and what it is about (`dataset`,
    `fact_classes`, `teacher`: at least one, and all that are given must hold). It lifts nothing before two approve."""
    actor.require("release")
    actor.require_person("ask for an exception")
    checked = check_exception(body, pack=runtime.pack, today=runtime.clock().date())
    student = get_student(session, checked["student"]).predicate
    named = {"id": student["id"], "name": student["facts"]["name"], "digest": student["digest"]}
    scope = {**{name: checked[name] for name in SCOPE}, "student": named}
    said = {
        "id": make_id("exc", key),
        "step": "request",
        "reason": checked["reason"],
        "scope": scope,
        "expires_on": checked["expires_on"],
        "actor": actor.name,
    }
    said["request_digest"] = sha256_digest(canonical_bytes(said))
    subjects = [(said["id"], said["request_digest"])]
    predicate = {**said, "at": format_time(runtime.clock())}
    receipt = runtime.append("exception", predicate, subjects=subjects, once=(said["id"], said))
    return {"id": said["id"], "entry": receipt.first_index}


@router.post("/{identifier}/approve", status_code=201)
def approve_exception(
    identifier: str,
    runtime: RuntimeDep,
    session: SessionDep,
    actor: WriterDep,
    key: IdempotencyDep,
    body: Annotated[Note | None, Body()] = None,
) -> dict[str, Any]:
    """Approve it: two different people, neither of whom asked for it, make it active."""
    actor.require("govern")
    actor.require_person("approve an exception")
    rows = find_steps(session, identifier)
    return _take_step(runtime, rows, "approve", actor, body.reason if body else None, key)


@router.post("/{identifier}/refuse", status_code=201)
def refuse_exception(
    identifier: str, body: Reason, runtime: RuntimeDep, session: SessionDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Refuse it; that is final."""
    actor.require("govern")
    return _take_step(runtime, find_steps(session, identifier), "refuse", actor, body.reason, key)


@router.post("/{identifier}/revoke", status_code=201)
def revoke_exception(
    identifier: str, body: Reason, runtime: RuntimeDep, session: SessionDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """End it: from now on it lifts nothing, and no run starts from a release that was decided with it."""
    actor.require("govern")
    return _take_step(runtime, find_steps(session, identifier), "revoke", actor, body.reason, key)


@router.get("")
def index_exceptions(
    runtime: RuntimeDep,
    session: SessionDep,
    _: ReaderDep,
    before: Annotated[int | None, Query(ge=0, le=MAX_INDEX)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """All exceptions, newest request first."""
    today = runtime.clock().date()
    keys = [row.key for row in list_requests(session, before=before, limit=limit)]
    return {"exceptions": [show(rows, today) for rows in list_histories(session, "exception", keys).values()]}


@router.get("/{identifier}")
def show_exception(identifier: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One exception: scope, state, every step, and the newest decisions that used it."""
    rows = find_steps(session, identifier)
    steps = [
        {"entry": row.index, **{name: row.predicate[name] for name in ("step", "actor", "at", "reason")}}
        for row in rows
    ]
    uses = [row.key for row in list_uses(session, "exceptions", identifier)]
    return {**show(rows, runtime.clock().date()), "steps": steps, "decisions": uses}


def find_steps(session: Any, identifier: str) -> list[StatementRow]:
    """The steps of an exception.

    Raises:
        NotFoundError: it was never asked for.
    """
    rows = list_steps(session, "exception", identifier)
    if not rows:
        raise NotFoundError(f"there is no exception {identifier!r} in the log")
    return rows


def show(rows: Sequence[StatementRow], today: date) -> dict[str, Any]:
    """An exception as its steps leave it today."""
    asked = rows[0].predicate
    folded = fold_exception([row.predicate for row in rows])
    return {
        "id": folded.id,
        "state": folded.state(today),
        "reason": folded.reason,
        **asked["scope"],
        "expires_on": asked["expires_on"],
        "requested_by": folded.requester,
        "requested_at": asked["at"],
        "approved_by": [approval.approver for approval in folded.approvals],
        "entry": rows[0].index,
    }


def _take_step(
    runtime: Runtime, rows: Sequence[StatementRow], step: Step, actor: Actor, reason: str | None, key: str | None
) -> dict[str, Any]:
    asked = rows[0].predicate
    once = once_of(f"exc-{step}", key, {"id": asked["id"], "reason": reason, "actor": actor.name})
    done = find_done(runtime, once)
    said = {
        **dict.fromkeys(("scope", "expires_on")),
        **{name: asked[name] for name in ("id", "request_digest")},
        "step": step,
        "reason": reason,
        "actor": actor.name,
        "at": format_time(runtime.clock()),
    }
    steps = [row.predicate for row in rows]
    today = runtime.clock().date()
    if done is None:
        objection = find_objection(fold_exception(steps), step, actor.name, today)
        if objection is not None:
            raise objection
        done = runtime.append("exception", said, subjects=[(said["id"], said["request_digest"])], once=once)
        steps.append(said)
    return {"id": asked["id"], "entry": done.first_index, "state": fold_exception(steps).state(today)}
