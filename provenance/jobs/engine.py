"""The durable engine: DBOS keeps which step of which job was finished; we keep what people see of it.

- The id of a workflow is the id of its job row, so starting it twice is harmless.
- A job that was accepted but not started before a crash is started by `launch`.
- What went wrong ends in the job as the same problem body that the API answers with.
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
        self._running = 0
        self._idle = threading.Condition()

    @property
    def runtime(self) -> Runtime:
        """The runtime that the engine was launched with.

        Raises:
            StoppingError: it was closed, or never launched; the job that asks ends here and goes on at the next launch.
        """
        if self._runtime is None:
            raise StoppingError("the job engine is not running")
        return self._runtime

    def launch(self, runtime: Runtime, workflows: Mapping[str, Callable[[str], None]]) -> None:
        """Start the engine: unfinished workflows go on, accepted jobs begin."""
        self._runtime, self._workflows = runtime, dict(workflows)
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
        with read_session(runtime.engine) as session:
            waiting = session.exec(select(Job).where(col(Job.state).not_in(ENDED))).all()
            accepted = [(job.kind, job.id) for job in waiting]
        for kind, identifier in accepted:
            self.start(kind, identifier)

    def start(self, kind: str, identifier: str) -> None:
        """Start a job's workflow, or join the one that runs."""
        with SetWorkflowID(identifier):
            DBOS.start_workflow(self._workflows[kind], identifier)

    def close(self) -> None:
        """Let go; what is unfinished goes on at the next launch."""
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
            _ = self.runtime  # a job must notice that the service stops
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
