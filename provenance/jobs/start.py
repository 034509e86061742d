"""Start what this service does by itself: jobs, and the courier that empties the outbox."""

from __future__ import annotations

from provenance.jobs.courier import Courier
from provenance.jobs.emission import open_emission
from provenance.jobs.engine import engine
from provenance.jobs.workflows import WORKFLOWS
from provenance.ledger.append import format_time
from provenance.runtime import Runtime
from provenance.store.jobs import create_job
from provenance.store.recalls import list_recalls
from provenance.store.runs import list_unheard_resumes
from provenance.store.session import read_session, write_session
from provenance.training.resume import complete_resume


def start_jobs(runtime: Runtime) -> Courier:
    """Take up what is unfinished; the answer is the courier, which ends before the engine does.

    Raises:
        SettingsError: the OpenLineage endpoint is no address that anything may be posted to.
    """
    emission = open_emission(runtime)
    adopt_recalls(runtime)
    adopt_resumes(runtime)
    engine.launch(runtime, WORKFLOWS)
    return Courier(runtime, emission)


def adopt_recalls(runtime: Runtime) -> None:
    """Make the job of each open recall that has none: the service died between the entry and the job."""
    with write_session(runtime.engine) as session:
        for logged in list_recalls(session):
            if logged.recall.state == "open":
                request, now = {"recall": logged.recall.id}, format_time(runtime.clock())
                create_job(session, identifier=logged.recall.id, kind="recall", request=request, now=now)


def adopt_resumes(runtime: Runtime) -> None:
    """Make the job of each attempt that the log tells of and that has none: the service died between entry and job."""
    with read_session(runtime.engine) as session:
        unheard = list_unheard_resumes(session)
    for run_id in unheard:
        complete_resume(runtime, run_id)
