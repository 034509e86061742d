"""Recalls: see what something reached, freeze it and hold it back, settle the acts, close it as another person."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.api.once import find_done, once_of
from provenance.jobs.engine import engine
from provenance.ledger.append import format_time
from provenance.recall.open import close_recall, open_recall, plan_recall, settle_act
from provenance.recall.prove import prove_reach
from provenance.recall.show import describe_recall, summarise_recall
from provenance.store.jobs import create_job
from provenance.store.recalls import get_recall, list_recalls
from provenance.store.session import write_session

router = APIRouter(prefix="/api/v1/recalls", tags=["recalls"])


class SourceRequest(RequestBody):
    """What is tainted: `{kind, id}`, or samples by `indices`, `external_ids`, `dataset` and `selection`."""

    source: dict[str, Any]


class RecallRequest(SourceRequest):
    """Open a recall. `running` says what happens to trainings that are going; `notify` whom to tell."""

    reason: str
    running: str = "stop"
    notify: list[str] = Field(default_factory=list)


class ActRequest(RequestBody):
    """What came of an act."""

    act: str
    result: str
    note: str


class CloseRequest(RequestBody):
    """How a recall ends: `upheld` or `lifted`, and why."""

    outcome: str
    reason: str


@router.post("/preview")
def post_preview(body: SourceRequest, session: SessionDep, actor: WriterDep) -> dict[str, Any]:
    """What a recall would reach; nothing is changed and nothing logged."""
    actor.require("govern")
    return plan_recall(session, body.source)


@router.post("", status_code=201)
def post_recall(
    body: RecallRequest, response: Response, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Open a recall: its reach is frozen at this log size and held back from this entry on."""
    actor.require("govern")
    actor.require_person("open a recall")
    identifier = make_id("rec", key)
    said = open_recall(
        runtime, identifier, body.source, reason=body.reason, actor=actor.name, running=body.running, notify=body.notify
    )
    with write_session(runtime.engine) as session:
        create_job(
            session,
            identifier=identifier,
            kind="recall",
            request={"recall": identifier},
            now=format_time(runtime.clock()),
        )
    engine.start("recall", identifier)
    response.headers["Location"] = f"/api/v1/recalls/{identifier}"
    return {**said, "state": "open", "status_url": response.headers["Location"]}


@router.post("/{identifier}/acts", status_code=201)
def post_act(
    identifier: str, body: ActRequest, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Say what came of an act: `done`, `failed`, or `waived` by another person than who opened the recall."""
    actor.require("govern")
    actor.require_person("settle an act of a recall")
    once = once_of("rec-act", key, {"id": identifier, **body.model_dump(), "actor": actor.name})
    done = find_done(runtime, once) or settle_act(
        runtime, identifier, body.act, result=body.result, actor=actor.name, note=body.note, once=once
    )
    return {"id": identifier, "act": body.act, "entry": done.first_index}


@router.post("/{identifier}/close", status_code=201)
def post_close(
    identifier: str, body: CloseRequest, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Close a recall, as another person than who opened it."""
    actor.require("govern")
    actor.require_person("close a recall")
    once = once_of("rec-close", key, {"id": identifier, **body.model_dump(), "actor": actor.name})
    done = find_done(runtime, once) or close_recall(
        runtime, identifier, outcome=body.outcome, actor=actor.name, reason=body.reason, once=once
    )
    return {"id": identifier, "state": body.outcome, "entry": done.first_index}


@router.get("")
def index_recalls(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All recalls, newest first."""
    return {"recalls": [summarise_recall(logged) for logged in list_recalls(session)]}


@router.post("/{identifier}/prove")
def post_proof(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """Make the list again from the log's entries alone, and compare: whether it is complete. It takes a while."""
    return prove_reach(session, get_recall(session, identifier))


@router.get("/{identifier}")
def show_recall(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One recall: source, frozen reach, acts and what came of them, who was told."""
    return describe_recall(session, get_recall(session, identifier))
