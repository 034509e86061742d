"""The workflow that builds a release: decide, freeze, log."""

from __future__ import annotations

from typing import Any

from dbos import DBOS

from provenance.jobs.engine import engine
from provenance.release.build import decide_dataset, freeze, log_release
from provenance.store.jobs import get_job
from provenance.store.session import read_session


@DBOS.workflow(name="build-release")
def build_release(identifier: str) -> None:
    """Build the release that job `identifier` asks for; each step is done once, also over a crash."""
    with engine.job(identifier):
        engine.update(identifier, state="running", progress={"step": "decide"})
        decision = decide_step(identifier)
        manifest_digest = freeze_step(identifier, decision)
        log_step(identifier, decision, manifest_digest)
        engine.update(identifier, state="done", progress={"step": "done"})


@DBOS.step(name="build-release.decide")
def decide_step(identifier: str) -> dict[str, Any]:
    """Ask the gate; log the decision."""
    request = _request(identifier)
    return decide_dataset(
        engine.runtime,
        f"dec_{identifier.removeprefix('rel_')}",
        dataset=request["dataset"],
        selection=request["selection"],
        student=request["student"],
        action="release",
    )


@DBOS.step(name="build-release.freeze")
def freeze_step(identifier: str, decision: dict[str, Any]) -> str | None:
    """Write what the gate lets through."""
    return freeze(engine.runtime, _request(identifier), decision, engine.reporter(identifier))


@DBOS.step(name="build-release.log")
def log_step(identifier: str, decision: dict[str, Any], manifest_digest: str | None) -> None:
    """Append the release statement."""
    log_release(engine.runtime, _request(identifier), decision, manifest_digest)


def _request(identifier: str) -> dict[str, Any]:
    with read_session(engine.runtime.engine) as session:
        return {**get_job(session, identifier).request, "id": identifier}
