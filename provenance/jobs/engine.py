"""The durable engine: DBOS keeps which step of which job was finished; we keep what people see of it.

- The id of a workflow is the id of its job row, so starting it twice is harmless.
- A job that was accepted but not started before a crash is started by `launch`.
- What went wrong ends in the job as the same problem body that the API answers with.
- Where a service has several processes, one of them runs the jobs: the others leave it to find what they accepted.
- When the service stops, a running job leaves at its next word to the engine, unfinished, and goes on at the next launch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlmodel import col, select

from provenance import __version__
from provenance.errors import ProvenanceError
from provenance.ledger.append import format_time
from provenance.runtime import Runtime
from provenance.store.jobs import ENDED, update_job
from provenance.store.session import read_session, write_session
from provenance.store.tables import Job

PROGRESS_SECONDS = 0.5
CLOSE_SECONDS = 10.0  # as long as a step may take that says nothing meanwhile, such as drawing a PDF
log = logging.getLogger("provenance.jobs")


class StoppingError(BaseException):
    """The service stops. No `except Exception` may take this for the job's own failure, and DBOS does not record it."""


class Engine:
    """Runs jobs of this process; one is launched a process."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._workflows: dict[str, Callable[[str], None]] = {}
        self._started: set[str] = set()
        self._is_elsewhere = False
        self._running = 0
        self._idle = threading.Condition()

    @property
    def runtime(self) -> Runtime:
        """The runtime that the engine was launched with, with what is in force now.

        Raises:
            StoppingError: it was closed, or never launched; the job that asks ends here and goes on at the next launch.
        """
        runtime = self._runtime
        if runtime is None:
            raise StoppingError("the job engine is not running")
        runtime.refresh()
        return runtime

    def launch(self, runtime: Runtime, workflows: Mapping[str, Callable[[str], None]]) -> None:
        """Start the engine: unfinished workflows go on, accepted jobs begin."""
        self._runtime, self._workflows, self._started = runtime, dict(workflows), set()
        config = DBOSConfig(
            name="provenance",
            system_database_url=_dbos_url(runtime.settings.workflow_database_url),
            application_version=__version__,  # a restart of the same version takes its workflows up again
            executor_id="local",
            log_level="WARNING",
            enable_otlp=False,
        )
        DBOS(config=config)
        DBOS.launch()
        self.start_accepted()

    def launch_elsewhere(self) -> None:
        """Leave the jobs to another process of this service."""
        self._is_elsewhere = True

    def start_accepted(self) -> None:
        """Start every job that was accepted and has not ended, each once."""
        with read_session(self.runtime.engine) as session:
            waiting = session.exec(select(Job.kind, Job.id).where(col(Job.state).not_in(ENDED))).all()
        for kind, identifier in waiting:
            if identifier not in self._started:
                self._started.add(identifier)
                self.start(kind, identifier)

    def start(self, kind: str, identifier: str) -> None:
        """Start a job's workflow, or join the one that runs."""
        if self._is_elsewhere:
            return  # its row is there, for the process that runs jobs
        with SetWorkflowID(identifier):
            DBOS.start_workflow(self._workflows[kind], identifier)

    def close(self) -> None:
        """Let go; what is unfinished goes on at the next launch."""
        if self._is_elsewhere:
            self._is_elsewhere = False
            return
        self._runtime = None
        with self._idle:
            self._idle.wait_for(lambda: not self._running, CLOSE_SECONDS)
        DBOS.destroy(workflow_completion_timeout_sec=0)

    @contextmanager
    def job(self, identifier: str) -> Iterator[None]:
        """The length of a job; whatever goes wrong in it is the job's answer."""
        with self._idle:
            self._running += 1
        try:
            yield
        except Exception as exc:  # noqa: BLE001 - a person reads it in the job
            self._fail(identifier, exc)
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def update(self, identifier: str, **changes: Any) -> None:
        """Say how a job goes, in a transaction of its own."""
        runtime = self.runtime
        with write_session(runtime.engine) as session:
            update_job(session, identifier, now=format_time(runtime.clock()), **changes)

    def reporter(self, identifier: str) -> Callable[[dict[str, Any]], None]:
        """A progress function for one job that writes at most twice a second."""
        last = 0.0

        def report(progress: dict[str, Any]) -> None:
            nonlocal last
            if self._runtime is None:  # a job must notice that the service stops
                raise StoppingError("the job engine is not running")
            if time.monotonic() - last >= PROGRESS_SECONDS:
                last = time.monotonic()
                self.update(identifier, progress=progress)

        return report

    def _fail(self, identifier: str, exc: Exception) -> None:
        if isinstance(exc, ProvenanceError):
            problem = {"code": exc.code, "detail": exc.detail, "errors": [error.to_json() for error in exc.errors]}
        else:
            log.error("job %s", identifier, exc_info=exc)
            problem = {"code": "provenance-error", "detail": f"{type(exc).__name__}: {exc}", "errors": []}
        self.update(identifier, state="failed", error=problem)


def _dbos_url(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


engine = Engine()
