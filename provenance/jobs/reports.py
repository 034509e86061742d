"""The workflow that builds a report: render, log, bundle."""

from __future__ import annotations

from typing import Any

from dbos import DBOS

from provenance.jobs.engine import engine
from provenance.report.build import bundle_report, log_report, render_report
from provenance.store.jobs import get_job
from provenance.store.log import get_head
from provenance.store.session import read_session


@DBOS.workflow(name="build-report")
def build_report(identifier: str) -> None:
    """Build the report that job `identifier` asks for; each step is done once, also over a crash."""
    with engine.job(identifier):
        engine.update(identifier, state="running", progress={"step": "render"})
        request = _request(identifier)
        log_size = size_step(request)
        files, missing = render_step(identifier, log_size)
        engine.update(identifier, progress={"step": "bundle", "missing": missing})
        log_step(identifier, log_size, files)
        bundle_step(identifier)
        engine.update(identifier, state="done", progress={"step": "done"})


@DBOS.step(name="build-report.size")
def size_step(request: dict[str, Any]) -> int:
    """The log size that the report speaks of, kept so that a repetition says the same."""
    with read_session(engine.runtime.engine) as session:
        return request["at"] or get_head(session).size


@DBOS.step(name="build-report.render")
def render_step(identifier: str, log_size: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Write the report's files; also why a form could not be made."""
    request = _request(identifier)
    return render_report(engine.runtime, identifier, request["release"], log_size, request["formats"])


@DBOS.step(name="build-report.log")
def log_step(identifier: str, log_size: int, files: list[dict[str, Any]]) -> None:
    """Append the report statement."""
    log_report(engine.runtime, identifier, _request(identifier)["release"], log_size, files)


@DBOS.step(name="build-report.bundle")
def bundle_step(identifier: str) -> None:
    """Write the evidence bundle."""
    bundle_report(engine.runtime, identifier, _request(identifier)["release"])


def _request(identifier: str) -> dict[str, Any]:
    with read_session(engine.runtime.engine) as session:
        return get_job(session, identifier).request
