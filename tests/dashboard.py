"""A running service with a small true record in it: what the dashboard's tests look at. `python -m tests.dashboard` serves it.

Samples, student, releases, decisions and report are made through the service itself. The run was not trained here: its
statements and events are appended as the training process would have left them.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from provenance.api.app import create_app
from provenance.demo.run import STUDENT_FACTS
from provenance.demo.samples import load_claims, load_prompts
from provenance.ledger.append import format_time
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.jobs import create_job, update_job
from provenance.store.session import write_session
from provenance.store.tokens import create_token
from provenance.training.launch import run_folder
from tests.dashboard_run import RUN, append_run, write_events

DATASET = "tutor"
LIVE_RUN = "run_live"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> \u202egnp.exe\u202c \x1b[31m javascript:alert(1)"
PATIENCE_SECONDS = 60.0


@dataclass
class Dashboard:
    """The service and what is in it; `client` may write."""

    url: str
    runtime: Runtime
    client: httpx.Client
    first_openai: int = 0
    hostile: int = 0
    student: str = ""
    release: str = "tutor@1"
    blocked: str = "tutor-gpt4o@1"
    blocked_decision: str = ""
    report: str = ""
    model: str = ""
    erasure: str = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A page as a reader without a token asks for it."""
        return httpx.get(self.url + path, headers={"Accept": "text/html", **headers}, timeout=PATIENCE_SECONDS)

    def post(self, path: str, body: Any) -> Any:
        """What the service answered to a write, which must succeed."""
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def wait(self, path: str) -> Any:
        """A job's answer once it has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (said := self.client.get(path).json())["state"] in {"building", "queued", "running"}:
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        return said


@contextmanager
def serve(data_dir: Path) -> Iterator[Dashboard]:
    """A service of its own on a free port; empty but for what opening it makes."""
    runtime = open_runtime(Settings(data_dir=data_dir))
    with write_session(runtime.engine) as session:
        now = format_time(runtime.clock())
        _, token = create_token(session, name="test", role="admin", now=now, expires_at=None)
    server = uvicorn.Server(
        uvicorn.Config(create_app(runtime), port=0, log_level="warning", ws="none", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS) as client:
        try:
            yield Dashboard(url, runtime, client)
        finally:
            server.should_exit = True
            thread.join()


def serve_filled(data_dir: Path) -> Iterator[Dashboard]:
    """The service with the record in it, for a fixture."""
    with serve(data_dir) as dashboard:
        fill(dashboard)
        yield dashboard


def fill(dashboard: Dashboard) -> None:
    """Samples of three teachers, one student, two releases, a run with its model, a report, and what went wrong."""
    dashboard.post("/api/v1/samples", own_samples(30))
    claims = [load_claims(name, DATASET) for name in ("openai_claimed", "llama_claimed")]
    receipts = [dashboard.post("/api/v1/samples?source=import", claim) for claim in claims]
    dashboard.first_openai = receipts[0]["first_index"]
    dashboard.student = dashboard.post("/api/v1/students", STUDENT_FACTS)["id"]
    release = _release(dashboard, "tutor", {})
    blocked = _release(dashboard, "tutor-gpt4o", {"teacher": "openai/gpt-4o"})
    dashboard.blocked_decision = blocked["decision"]["id"]
    dashboard.model = append_run(dashboard.runtime, release, dashboard.student)
    asked = {"kind": "ownership-and-legality", "subject": dashboard.release}
    dashboard.report = dashboard.wait(dashboard.post("/api/v1/reports", asked)["status_url"])["id"]
    dashboard.hostile = dashboard.post("/api/v1/samples", [hostile_sample()])["first_index"]
    erasure = {"external_ids": [hostile_sample()["external_id"]], "reason": HOSTILE}
    dashboard.erasure = dashboard.post("/api/v1/erasures", erasure)["id"]
    _add_jobs(dashboard, release)


def own_samples(count: int) -> list[dict[str, Any]]:
    """Samples of an open-weights teacher that the student may learn from."""
    teacher = {"provider": "huggingface-smollm", "model": "smollm2-135m-instruct", "route": "weights"}
    common = {"dataset": DATASET, "teacher": teacher, "prompt_origin": {"kind": "human", "license": "CC0-1.0"}}
    return [
        {
            **common,
            "generated_at": "2026-11-20T10:00:00Z",
            "prompt": item["prompt"],
            "completion": f"An answer to {item['id']}.",
            "usage": {"input_tokens": 12, "output_tokens": 6},
            "external_id": f"own-{item['id']}",
        }
        for item in load_prompts()[:count]
    ]


def hostile_sample() -> dict[str, Any]:
    """A sample whose every text tries something, of a teacher that nobody knows."""
    return {
        "dataset": "hostile",
        "teacher": {"provider": "acme", "model": "unknown-7b", "route": "reseller", "host": "acme-host"},
        "generated_at": "2026-11-20T10:00:00Z",
        "prompt": HOSTILE,
        "completion": "شجرة " + HOSTILE,
        "request_id": "req <b>1",
        "external_id": "=cmd|' /C calc'!A0",
    }


def _release(dashboard: Dashboard, name: str, selection: dict[str, str]) -> Any:
    asked = {"dataset": DATASET, "student": dashboard.student, "name": name, "selection": selection}
    return dashboard.wait(dashboard.post("/api/v1/releases", asked)["status_url"])


def _add_jobs(dashboard: Dashboard, release: dict[str, Any]) -> None:
    """A run that goes on, and a report that failed; no workflow stands behind either."""
    runtime = dashboard.runtime
    now = format_time(runtime.clock())
    asked = {"release": release["id"], "student": dashboard.student, "recipe": "sft"}
    with write_session(runtime.engine) as session:
        create_job(session, identifier=LIVE_RUN, kind="run", request=asked, now=now)
        create_job(session, identifier="rep_broken", kind="report", request={"kind": "x", "release": "rel_0"}, now=now)
        problem = {"code": "not-found", "detail": "release rel_0 is not in the log", "errors": []}
        update_job(session, LIVE_RUN, now=now, state="running", progress={"step": {"step": 2, "total": 40}})
        update_job(session, "rep_broken", now=now, state="failed", error=problem)
    write_events(run_folder(runtime, LIVE_RUN) / "out", steps=2, total=40, ended=False)


def main() -> None:
    """Serve a filled dashboard until the line is interrupted."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as dashboard:
        fill(dashboard)
        names = ("url", "first_openai", "hostile", "blocked_decision", "report", "model")
        print(json.dumps({"run": RUN} | {name: getattr(dashboard, name) for name in names}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
