"""Agreements: negotiated overrides. Each is logged when it is made, and again when it is revoked."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from provenance.api.body import RequestBody, read_fit_json
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.api.once import find_done, once_of
from provenance.errors import ConflictError, FieldError
from provenance.ledger.append import format_time
from provenance.policy.lifts import agreement_terms
from provenance.policy.requests import check_agreement
from provenance.runtime import Runtime
from provenance.store.lifts import list_agreements, list_steps, list_uses
from provenance.store.log import MAX_INDEX, get_statement
from provenance.store.tables import StatementRow

router = APIRouter(prefix="/api/v1/agreements", tags=["agreements"])


class Reason(RequestBody):
    """Why something ends."""

    reason: str = Field(min_length=1, max_length=4096, pattern=r"\S")


@router.post("", status_code=201)
def post_agreement(
    runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep, body: Annotated[Any, Depends(read_fit_json)]
) -> dict[str, Any]:
    """Log an agreement: `{provider, parties, models, routes, actions, students, document_digest, valid_from, valid_to}`."""
    actor.require("govern")
    said = {"id": make_id("agr", key), "step": "made", **check_agreement(body, runtime.catalogue), "actor": actor.name}
    receipt = _append(runtime, said, None, once=(said["id"], said))
    return {"id": said["id"], "entry": receipt.first_index}


@router.post("/{identifier}/revoke", status_code=201)
def revoke_agreement(
    identifier: str, body: Reason, runtime: RuntimeDep, session: SessionDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """End an agreement: from now on it lifts nothing, and no run starts from a release that was decided with it."""
    actor.require("govern")
    held = get_statement(session, "agreement", identifier).predicate
    once = once_of("agr-revoke", key, {"id": identifier, "reason": body.reason, "actor": actor.name})
    if (done := find_done(runtime, once)) is not None:
        return {"id": identifier, "entry": done.first_index}
    if held["step"] == "revoked":
        raise ConflictError(
            f"agreement {identifier} was revoked by {held['actor']}",
            FieldError("id", identifier, "an agreement in force"),
        )
    said = {**agreement_terms(held), "step": "revoked", "actor": actor.name}
    return {"id": identifier, "entry": _append(runtime, said, body.reason, once=once).first_index}


@router.get("")
def index_agreements(
    runtime: RuntimeDep,
    session: SessionDep,
    _: ReaderDep,
    before: Annotated[int | None, Query(ge=0, le=MAX_INDEX)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """All agreements, the one that was made or revoked last first."""
    today = runtime.clock().date().isoformat()
    return {"agreements": [show(row, today) for row in list_agreements(session, before=before, limit=limit)]}


@router.get("/{identifier}")
def show_agreement(identifier: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One agreement: terms, state, what was logged of it, and the newest decisions that used it."""
    shown = show(get_statement(session, "agreement", identifier), runtime.clock().date().isoformat())
    steps = [
        {"entry": row.index, **{name: row.predicate[name] for name in ("step", "actor", "at", "reason")}}
        for row in list_steps(session, "agreement", identifier)
    ]
    return {**shown, "steps": steps, "decisions": [row.key for row in list_uses(session, "agreements", identifier)]}


def show(row: StatementRow, today: str) -> dict[str, Any]:
    """An agreement as its newest statement has it, with its state today."""
    said = row.predicate
    return {**agreement_terms(said), "state": state_of(said, today), "entry": row.index, "at": said["at"]}


def state_of(said: dict[str, Any], today: str) -> str:
    """active, pending, expired or revoked."""
    if said["step"] == "revoked":
        return "revoked"
    if said["valid_from"] > today:
        return "pending"
    return "expired" if said["valid_to"] is not None and said["valid_to"] < today else "active"


def _append(runtime: Runtime, said: dict[str, Any], reason: str | None, *, once: Any) -> Any:
    predicate = {**said, "at": format_time(runtime.clock()), "reason": reason}
    return runtime.append("agreement", predicate, subjects=[(said["id"], said["document_digest"])], once=once)
