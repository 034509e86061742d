"""The workflow that trains a student: plan, start, watch, log the end."""

from __future__ import annotations

import logging
from typing import Any

from dbos import DBOS

from provenance.jobs.engine import engine
from provenance.store.jobs import get_job
from provenance.store.session import read_session
from provenance.training.answer_rounds import answer_rounds
from provenance.training.launch import finish_run, plan_run, run_folder, start_phase
from provenance.training.supervise import watch_run

log = logging.getLogger(__name__)
JOB_STATES = {"finished": "done", "cancelled": "cancelled"}


@DBOS.workflow(name="train-student")
def train_student(identifier: str) -> None:
    """Run job `identifier`; after a crash the process is found again, or goes on from its checkpoint."""
    with engine.job(identifier):
        engine.update(identifier, state="running")
        plan_step(identifier)
        outcome = watch_step(identifier)
        finish_step(identifier, outcome)
        error = (
            None
            if outcome["state"] in JOB_STATES
            else {"code": "run-failed", "detail": outcome["detail"], "errors": []}
        )
        engine.update(identifier, state=JOB_STATES.get(outcome["state"], "failed"), error=error)


@DBOS.step(name="train-student.plan")
def plan_step(identifier: str) -> None:
    """Ask the gate, sign the plan, say that it starts."""
    request = _request(identifier)
    plan_run(engine.runtime, identifier, request)
    start_phase(engine.runtime, identifier, request)


@DBOS.step(name="train-student.watch")
def watch_step(identifier: str) -> dict[str, Any]:
    """Start the process or find it, and wait for its end; the rounds of an on-policy run are answered meanwhile."""
    request = _request(identifier)

    def tend() -> None:
        try:
            answer_rounds(engine.runtime, identifier, request)
        except Exception:  # the log cannot be reached now: tried again until the process's patience ends
            log.warning("run %s: a round could not be recorded; trying again", identifier, exc_info=True)

    folder, report = run_folder(engine.runtime, identifier), engine.reporter(identifier)
    return watch_run(folder, report, tend) if request["recipe"] == "on-policy" else watch_run(folder, report)


@DBOS.step(name="train-student.finish")
def finish_step(identifier: str, outcome: dict[str, Any]) -> str | None:
    """Log the end, register the model."""
    return finish_run(engine.runtime, identifier, _request(identifier), outcome)


def _request(identifier: str) -> dict[str, Any]:
    with read_session(engine.runtime.engine) as session:
        return get_job(session, identifier).request
