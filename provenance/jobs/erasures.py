"""The workflow that carries out an erasure once a second person has agreed: log it, take the text away everywhere, log that."""

from __future__ import annotations

import time
from typing import Any

from dbos import DBOS

from provenance.jobs.engine import engine
from provenance.release.erase import erase_copies, erase_words, list_builds, log_approval, log_done, sweep
from provenance.store.jobs import ENDED, get_job
from provenance.store.runs import run_of_job
from provenance.store.session import read_session
from provenance.training.forget import forget_text, list_affected, list_going
from provenance.training.launch import run_folder
from provenance.training.supervise import cancel_run

POLL_SECONDS = 0.2


@DBOS.workflow(name="erase-text")
def erase_text(job_id: str) -> None:
    """Carry out the erasure of job `job_id`; each step is safe to repeat, also over a crash in the middle of it."""
    with engine.job(job_id):
        engine.update(job_id, state="running", progress={"step": "approval"})
        identifier = approve_step(job_id)
        removed = words_step(job_id, identifier)
        engine.update(job_id, progress={"step": "copies"})
        releases = copies_step(identifier)
        engine.update(job_id, progress={"step": "runs"})
        runs = runs_step([item["id"] for item in releases])
        engine.update(job_id, progress={"step": "sweep"})
        sweep_step()
        done_step(identifier, removed, releases, runs)
        engine.update(job_id, state="done", progress={"step": "done"})


@DBOS.step(name="erase-text.approve")
def approve_step(job_id: str) -> str:
    """Log who agreed; the answer is the erasure's id."""
    with read_session(engine.runtime.engine) as session:
        request = get_job(session, job_id).request
    log_approval(engine.runtime, request["erasure"], request["approver"])
    return str(request["erasure"])


@DBOS.step(name="erase-text.words")
def words_step(job_id: str, identifier: str) -> dict[str, int]:
    """Empty the samples in the database."""
    return erase_words(engine.runtime, identifier, engine.reporter(job_id))


@DBOS.step(name="erase-text.copies")
def copies_step(identifier: str) -> list[dict[str, Any]]:
    """Let builds from before end, then take the data of releases away."""
    with read_session(engine.runtime.engine) as session:
        builds = list_builds(session)
    for build in builds:
        _wait_until_ended(build)
    return erase_copies(engine.runtime, identifier)


@DBOS.step(name="erase-text.runs")
def runs_step(releases: list[str]) -> list[str]:
    """Stop trainings on these releases, and take what they quote out of their folders."""
    with read_session(engine.runtime.engine) as session:
        runs = list_affected(session, releases)
        going = list_going(session, runs)
    for job_id in going:
        cancel_run(run_folder(engine.runtime, run_of_job(job_id)))
    for job_id in going:
        _wait_until_ended(job_id)
    for run in runs:
        forget_text(run_folder(engine.runtime, run))
    return runs


@DBOS.step(name="erase-text.sweep")
def sweep_step() -> None:
    """Write the database's files anew."""
    sweep(engine.runtime)


@DBOS.step(name="erase-text.done")
def done_step(identifier: str, removed: dict[str, int], releases: list[dict[str, Any]], runs: list[str]) -> None:
    """Log that it is done."""
    log_done(engine.runtime, identifier, removed, releases, runs)


def _wait_until_ended(job_id: str) -> None:
    while True:
        with read_session(engine.runtime.engine) as session:  # raises when the service stops
            if get_job(session, job_id).state in ENDED:
                return
        time.sleep(POLL_SECONDS)
