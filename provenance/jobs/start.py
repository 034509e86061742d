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
from provenance.store.session import write_session


def start_jobs(runtime: Runtime) -> Courier:
    """Take up what is unfinished; the answer is the courier, which ends before the engine does.

    Raises:
        SettingsError: the OpenLineage endpoint is no address that anything may be posted to.
    """
    emission = open_emission(runtime)
    adopt_recalls(runtime)
    engine.launch(runtime, WORKFLOWS)
    return Courier(runtime, emission)


def adopt_recalls(runtime: Runtime) -> None:
    """Make the job of each open recall that has none: the service died between the entry and the job."""
    with write_session(runtime.engine) as session:
        for logged in list_recalls(session):
            if logged.recall.state == "open":
                request, now = {"recall": logged.recall.id}, format_time(runtime.clock())
                create_job(session, identifier=logged.recall.id, kind="recall", request=request, now=now)
