"""The workflow that trains a student: wait for a slot, plan, start, watch, log the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from dbos import DBOS

from provenance.errors import ProvenanceError
from provenance.jobs.engine import engine
from provenance.store.jobs import get_job, list_queued
from provenance.store.runs import list_phases, run_of_job
from provenance.store.session import read_session
from provenance.training.answer_rounds import answer_rounds
from provenance.training.backend import Backend
from provenance.training.launch import finish_run, plan_run, run_folder, start_phase
from provenance.training.local import read_result
from provenance.training.place import open_backend, read_need
from provenance.training.resume import readmit_run
from provenance.training.supervise import wait_for_slot, watch_run

log = logging.getLogger(__name__)
JOB_STATES = {"finished": "done", "cancelled": "cancelled"}


@DBOS.workflow(name="train-student")
def train_student(identifier: str) -> None:
    """Carry out an attempt of a run; after a crash the process is found again, or goes on from its checkpoint."""
    with engine.job(identifier):
        outcome = run_step(identifier)
        if outcome["planned"]:
            finish_step(identifier, outcome)
        code = outcome["result"].get("code", "run-failed")
        ended_well = outcome["state"] in JOB_STATES
        error = None if ended_well else {"code": code, "detail": outcome["detail"], "errors": []}
        engine.update(identifier, state=JOB_STATES.get(outcome["state"], "failed"), error=error)


@DBOS.step(name="train-student.run")
def run_step(identifier: str) -> dict[str, Any]:
    """Wait for a slot, ask the gate, sign the plan, train. All of it can be repeated: one that runs already is found.

    One step, as a slot is held by this process and not by a row: it is taken before the gate is asked and kept to the end.
    """
    request, runtime, report = _request(identifier), engine.runtime, engine.reporter(identifier)
    run_id, is_resumed = run_of_job(identifier), identifier != run_of_job(identifier)
    folder, backend = run_folder(runtime, run_id), open_backend(runtime, request)
    need = backend.complete(read_need(request))
    held = None
    if not backend.find(folder):
        held = wait_for_slot(folder, backend, need, report, lambda: _is_next(identifier, request))
        if held is None:
            return {"state": "cancelled", "detail": None, "planned": _is_planned(run_id), "result": {}}
    try:
        engine.update(identifier, state="running")
        if not is_resumed:
            _plan(run_id, request, backend)
            start_phase(runtime, run_id, request)
        elif held is not None and read_result(folder / "out").result is None:
            readmit_run(runtime, run_id, request)
        tend = _answer(run_id, request)
        return watch_run(folder, report, backend, need, held, tend=tend) | {"planned": True}
    except ProvenanceError as exc:
        if not is_resumed:
            raise
        # The log says that it goes on, so the log must say that it did not.
        return {"state": "failed", "detail": exc.detail, "planned": True, "result": {"code": exc.code}}
    finally:
        if held is not None:
            held.close()


def _plan(run_id: str, request: dict[str, Any], backend: Backend) -> None:
    try:
        plan_run(engine.runtime, run_id, request)
    except Exception:
        backend.clear(run_folder(engine.runtime, run_id))  # refused after all: nothing stays elsewhere
        raise


def _is_next(identifier: str, request: dict[str, Any]) -> bool:
    """Whether no run that was asked for earlier waits for the same place."""
    place = request.get("backend", "local")
    with read_session(engine.runtime.engine) as session:
        waiting = [job.id for job in list_queued(session, "run") if job.request.get("backend", "local") == place]
    return not waiting or waiting[0] == identifier or identifier not in waiting


def _is_planned(run_id: str) -> bool:
    with read_session(engine.runtime.engine) as session:
        return bool(list_phases(session, run_id))


def _answer(run_id: str, request: dict[str, Any]) -> Callable[[], None]:
    """What a run waits for meanwhile: the rounds of an on-policy run are answered; others wait for nothing."""

    def tend() -> None:
        try:
            answer_rounds(engine.runtime, run_id, request)
        except Exception:  # the log cannot be reached now: tried again until the process's patience ends
            log.warning("run %s: a round could not be recorded; trying again", run_id, exc_info=True)

    return tend if request["recipe"] == "on-policy" else lambda: None


@DBOS.step(name="train-student.finish")
def finish_step(identifier: str, outcome: dict[str, Any]) -> str | None:
    """Log the end, register the model."""
    return finish_run(engine.runtime, run_of_job(identifier), _request(identifier), outcome)


def _request(identifier: str) -> dict[str, Any]:
    with read_session(engine.runtime.engine) as session:
        return get_job(session, identifier).request
