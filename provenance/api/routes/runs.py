"""Training runs: launch one, watch it, stop it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.api.once import find_done, once_of
from provenance.jobs.engine import engine
from provenance.ledger.append import format_time
from provenance.lineage.rings import refuse_run_ring
from provenance.runtime import Runtime
from provenance.store.jobs import ENDED, create_job, find_job
from provenance.store.log import read_statement
from provenance.store.releases import get_release
from provenance.store.runs import get_run, job_of_attempt, list_runs
from provenance.store.session import read_session, write_session
from provenance.training.launch import check_launch, run_folder
from provenance.training.place import open_backend, read_need
from provenance.training.resume import resume_run
from provenance.training.supervise import cancel_run, read_events

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
POLL_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0


class RunRequest(RequestBody):
    """Train `student` on `release` by `recipe`; `config` holds the recipe's settings.

    `gpus` 0 takes all GPUs of the service's machine, and none of a cluster; `processes` is for runs without GPUs.
    """

    release: str
    student: str
    recipe: str = "sft"
    config: dict[str, Any] = Field(default_factory=dict)
    backend: Literal["local", "ray"] = "local"
    gpus: int = Field(default=0, ge=0, le=64)
    processes: int = Field(default=1, ge=1, le=64)
    allow_unauthenticated_cluster: bool = False
    seed: int = Field(default=0, ge=0, lt=2**32)


@router.post("", status_code=202)
def post_run(
    body: RunRequest, response: Response, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Launch a run: refused with 409 and the decision when the release does not allow it."""
    actor.require("train")
    identifier = make_id("run", key)
    with read_session(runtime.engine) as session:
        request = {**body.model_dump(), "release": get_release(session, body.release)["id"]}
        known = find_job(session, identifier)
    if known is None:  # asked again under its key, a launch is not judged again
        check_launch(runtime, request)
        backend = open_backend(runtime, request)
        backend.check(backend.complete(read_need(request)))
        with read_session(runtime.engine) as session:
            refuse_run_ring(session, request["release"], body.student)
    with write_session(runtime.engine) as session:
        create_job(session, identifier=identifier, kind="run", request=request, now=format_time(runtime.clock()))
    engine.start("run", identifier)
    url = f"/api/v1/runs/{identifier}"
    response.headers["Location"] = url
    return {"id": identifier, "status_url": url, "events_url": f"{url}/events"}


@router.get("")
def index_runs(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All runs, newest first."""
    return {"runs": list_runs(session)}


@router.get("/{identifier}")
def show_run(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One run: state, progress, what its statements say."""
    return get_run(session, identifier)


@router.post("/{identifier}/cancel", status_code=202)
def post_cancel(identifier: str, runtime: RuntimeDep, session: SessionDep, actor: WriterDep) -> dict[str, Any]:
    """Ask a run to stop at its next step; one that has ended stays as it is."""
    actor.require("train")
    state = get_run(session, identifier)["state"]
    if state not in ENDED:
        cancel_run(run_folder(runtime, identifier))
        runtime.append_access(actor.name, "cancel-run", identifier)
    return {"id": identifier, "state": state}


@router.post("/{identifier}/resume", status_code=202)
def post_resume(
    identifier: str, response: Response, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Let a run that was cancelled, failed or lost go on from its checkpoint; refused with 409 where it may not or cannot."""
    actor.require("train")
    once = once_of("run-resume", key, {"id": identifier, "actor": actor.name})
    done = find_done(runtime, once)
    entry = done.first_index if done else resume_run(runtime, identifier, actor.name, once)
    with read_session(runtime.engine) as session:
        said = read_statement(session, entry).predicate
    engine.start("run", job_of_attempt(identifier, said["attempt"]))
    url = f"/api/v1/runs/{identifier}"
    response.headers["Location"] = url
    told = {name: said[name] for name in ("id", "attempt", "step")}
    return {**told, "entry": entry, "status_url": url, "events_url": f"{url}/events"}


@router.get("/{identifier}/events")
def stream_events(
    identifier: str,
    runtime: RuntimeDep,
    session: SessionDep,
    _: ReaderDep,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """The run's events as they come (SSE); `Last-Event-ID` goes on behind the last one seen."""
    get_run(session, identifier)
    session.close()  # it would last as long as the stream, and an erasure waits for readers of the old state
    start = int(last_event_id) + 1 if last_event_id and last_event_id.isdecimal() else 0
    events = _events(runtime, identifier, run_folder(runtime, identifier) / "out", start)
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _events(runtime: Runtime, identifier: str, output: Path, number: int) -> Iterator[str]:
    quiet_since = time.monotonic()
    while True:
        ended = _has_ended(runtime, identifier)  # asked before reading, so that the last events are not missed
        for event in read_events(output)[number:]:
            yield f"id: {number}\ndata: {json.dumps(event)}\n\n"
            number, quiet_since = number + 1, time.monotonic()
        if ended:
            yield f"event: end\nid: {number}\ndata: {json.dumps({'state': ended})}\n\n"
            return
        if time.monotonic() - quiet_since > KEEP_ALIVE_SECONDS:
            yield ": waiting\n\n"
            quiet_since = time.monotonic()
        time.sleep(POLL_SECONDS)


def _has_ended(runtime: Runtime, identifier: str) -> str | None:
    with read_session(runtime.engine) as session:
        state = str(get_run(session, identifier)["state"])
    return state if state in ENDED or state == "lost" else None
