"""The workflow that does what a recall asks of the service itself: stop or mark the trainings that it reached."""

from __future__ import annotations

from dbos import DBOS

from provenance.errors import ConflictError
from provenance.jobs.courier import SERVICE
from provenance.jobs.engine import engine
from provenance.recall.acts import FLAG, STOP
from provenance.recall.open import send_notices, settle_act
from provenance.store.jobs import ENDED
from provenance.store.recall_steps import SETTLED
from provenance.store.recalls import get_recall
from provenance.store.runs import get_run
from provenance.store.session import read_session
from provenance.training.launch import run_folder
from provenance.training.supervise import cancel_run


@DBOS.workflow(name="recall")
def carry_out(identifier: str) -> None:
    """Carry out recall `identifier` as far as the service can; each step is safe to repeat."""
    with engine.job(identifier):
        engine.update(identifier, state="running", progress={"step": "runs"})
        notices_step(identifier)
        runs_step(identifier)
        engine.update(identifier, state="done", progress={"step": "done"})


@DBOS.step(name="recall.notices")
def notices_step(identifier: str) -> None:
    """Put the notices into the outbox, should the request have died before it could."""
    send_notices(engine.runtime, identifier)


@DBOS.step(name="recall.runs")
def runs_step(identifier: str) -> None:
    """Stop or mark each training that was going when the recall was opened."""
    with read_session(engine.runtime.engine) as session:
        acts = [act for act in get_recall(session, identifier).recall.acts.values() if act.state not in SETTLED]
    for act in acts:
        if act.kind == FLAG:
            _settle(identifier, act.id, "marked; it goes on")
        elif act.kind == STOP:
            _settle(identifier, act.id, _stop(act.target))


def _stop(run: str) -> str:
    with read_session(engine.runtime.engine) as session:
        state = get_run(session, run)["state"]
    if state in ENDED or state == "lost":
        return f"it had ended before: {state}"
    cancel_run(run_folder(engine.runtime, run))
    return "told to stop at its next step; its own statement says how it ended"


def _settle(identifier: str, act: str, note: str) -> None:
    try:
        settle_act(engine.runtime, identifier, act, result="done", actor=SERVICE, note=note)
    except ConflictError:
        return  # a person was faster, or the recall is over
