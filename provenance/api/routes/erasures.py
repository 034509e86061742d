"""Erasures: see what one would take, ask for it, approve it as another person, follow it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field, StrictInt
from sqlmodel import Session

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.jobs.engine import engine
from provenance.ledger.append import format_time
from provenance.release.choose import Query
from provenance.release.erase import check_approver, preview_erasure, request_erasure
from provenance.runtime import Runtime
from provenance.store.erasures import FAILED, find_attempt, get_erasure, list_erasures
from provenance.store.jobs import create_job
from provenance.store.session import write_session

router = APIRouter(prefix="/api/v1/erasures", tags=["erasures"])
MAX_NAMED = 1000


class SamplesOfErasure(RequestBody):
    """Samples by entry index (`5`, `"6-9"`), by external id, or by dataset and selection; they add up."""

    indices: list[StrictInt | str] = Field(default_factory=list, max_length=MAX_NAMED)
    external_ids: list[str] = Field(default_factory=list, max_length=MAX_NAMED)
    dataset: str | None = None
    selection: dict[str, Any] | None = None

    def to_query(self) -> Query:
        """The same, as the use case takes it."""
        return Query(self.indices, self.external_ids, self.dataset, self.selection)


class ErasureRequest(SamplesOfErasure):
    """Ask that the text of these samples be erased, for a reason that is logged (and must not quote the text)."""

    reason: str


@router.post("/preview")
def post_preview(body: SamplesOfErasure, runtime: RuntimeDep, session: SessionDep, actor: WriterDep) -> dict[str, Any]:
    """What an erasure would take; nothing is changed and nothing logged."""
    actor.require("govern")
    return preview_erasure(runtime, session, body.to_query())


@router.post("", status_code=201)
def post_erasure(
    body: ErasureRequest, response: Response, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Ask for an erasure: it is logged, and waits for another person."""
    actor.require("govern")
    identifier = make_id("era", key)
    said = request_erasure(runtime, identifier, body.to_query(), reason=body.reason, requester=actor.name)
    url = f"/api/v1/erasures/{identifier}"
    response.headers["Location"] = url
    shown = {name: said[name] for name in ("id", "entry", "count", "tokens", "indices_digest", "datasets", "releases")}
    return {**shown, "state": "requested", "status_url": url}


@router.post("/{identifier}/approve", status_code=202)
def post_approval(
    identifier: str, response: Response, runtime: RuntimeDep, actor: WriterDep, _: IdempotencyDep
) -> dict[str, Any]:
    """Agree to an erasure, as another person than the one who asked for it; it is carried out at once."""
    actor.require("govern")
    with write_session(runtime.engine) as session:
        job_id = _approve(runtime, session, identifier, actor.name)
    engine.start("erasure", job_id)
    url = f"/api/v1/erasures/{identifier}"
    response.headers["Location"] = url
    return {"id": identifier, "status_url": url}


def _approve(runtime: Runtime, session: Session, identifier: str, approver: str) -> str:
    """The id of the job that carries it out: a new one, or the one that this approver started before."""
    erasure, before = get_erasure(session, identifier), find_attempt(session, identifier)
    if before is not None and before.request["approver"] == approver and erasure["state"] != FAILED:
        return before.id
    check_approver(erasure, approver)
    attempt = before.request["attempt"] + 1 if before else 0
    job_id = f"{identifier}.{attempt}" if attempt else identifier
    request = {"erasure": identifier, "approver": approver, "attempt": attempt}
    create_job(session, identifier=job_id, kind="erasure", request=request, now=format_time(runtime.clock()))
    return job_id


@router.get("")
def index_erasures(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All erasures, newest first."""
    return {"erasures": list_erasures(session)}


@router.get("/{identifier}")
def show_erasure(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One erasure: who asked, who agreed, how far it is, what it took and what is out of reach."""
    return get_erasure(session, identifier)
