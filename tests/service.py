"""A whole service for tests: in this process (`open_service`) or as one of its own that can be killed (`ServiceProcess`).

`world` is a data directory with samples of three teachers, a student, a partial and a blocked release and a report; each
module works on its own copy of it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.session import write_session
from provenance.store.tokens import create_token

ROOT = Path(__file__).resolve().parents[1]
SECRET = "the heron stands in grey water"
LOOPBACK = ("127.0.0.1", 50_000)
ENDED = {"done", "failed", "cancelled", "allowed", "partial", "blocked"}
WAIT_SECONDS = 240.0

APACHE = {"provider": "huggingface-smollm", "model": "smollm2-135m-instruct", "route": "weights"}
OPENAI = {"provider": "openai", "model": "gpt-4o", "route": "api"}
LLAMA = {"provider": "meta", "model": "llama-3.1-8b-instruct", "route": "weights", "obtained_at": "2025-03-01"}
STUDENT: dict[str, Any] = {
    "name": "acme-tutor",
    "developer": {"name": "acme", "country": "FR", "ultimate_parent_country": "FR"},
    "base_model": "huggingface-smollm/smollm2-135m-instruct",
    "base_license": "Apache-2.0",
    "release_license": "Apache-2.0",
    "use": "commercial",
    "distribution": "public-weights",
    "purpose": "general-assistant",
    "competes_with": ["openai"],
    "territories": ["FR", "DE", "US"],
    "monthly_active_users": 20_000,
    "annual_revenue_usd": 2_000_000,
    "notices": [],
    "training": {"location": "FR", "hardware": "cpu"},
}

SMALL_TRAINING: dict[str, Any] = {  # settings of a run that trains for real and takes seconds
    "student": "scratch",
    "hidden": 64,
    "layers": 1,
    "common_tokens": 300,
    "sample_generations": 1,
    "test_samples": 2,
}


def make_sample(
    number: int = 0, teacher: dict[str, Any] = APACHE, *, dataset: str = "mixed", **facts: Any
) -> dict[str, Any]:
    """A sample that the service takes; every 25th has the same prompt."""
    return {
        "dataset": dataset,
        "teacher": teacher,
        "generated_at": "2026-03-01T00:00:00Z",
        "prompt": f"{SECRET}: question {number % 25}",
        "completion": f"answer {number}",
        "prompt_origin": {"kind": "human", "license": "CC0-1.0"},
        **facts,
    }


def make_samples(
    *, apache: int = 60, openai: int = 20, llama: int = 20, dataset: str = "mixed"
) -> list[dict[str, Any]]:
    teachers = [APACHE] * apache + [OPENAI] * openai + [LLAMA] * llama
    return [
        make_sample(number, teacher, dataset=dataset, external_id=f"{dataset}-{number}")
        for number, teacher in enumerate(teachers)
    ]


class Service:
    """A client with an administrator's token, and what a pipeline does with it."""

    def __init__(self, client: Any) -> None:
        self.client = client  # httpx's, or Starlette's likeness of it

    def get(self, url: str, **options: Any) -> Any:
        answer = self.client.get(url, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, url: str, body: Any, *, expect: int = 202, **options: Any) -> Any:
        answer = self.client.post(url, json=body, **options)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def capture(self, samples: list[dict[str, Any]], *, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self.post("/api/v1/samples", samples, expect=201, headers=headers)

    def declare(self, **changes: Any) -> str:
        return str(self.post("/api/v1/students", STUDENT | changes, expect=201)["id"])

    def wait(self, url: str) -> Any:
        """What stands at `url` once it has ended."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (seen := self.get(url))["state"] not in ENDED:
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)
        return seen

    def release(self, student: str, name: str, *, dataset: str = "mixed", **selection: str) -> Any:
        body = {"dataset": dataset, "student": student, "name": name, "selection": selection}
        return self.wait(self.post("/api/v1/releases", body)["status_url"])

    def report(self, subject: str, *, formats: tuple[str, ...] = ("html", "json", "csv"), **more: Any) -> Any:
        body = {"kind": "ownership-and-legality", "subject": subject, "formats": formats, **more}
        return self.wait(self.post("/api/v1/reports", body)["status_url"])

    def log_size(self) -> int:
        return int(self.get("/api/v1/log")["tree_size"])


class LocalService(Service):
    """A service in this process; `runtime` is its own."""

    def __init__(self, client: TestClient, runtime: Runtime) -> None:
        super().__init__(client)
        self.runtime = runtime

    @property
    def data_dir(self) -> Path:
        return self.runtime.settings.data_dir

    def token(self, role: str, *, expires_at: str | None = None) -> str:
        with write_session(self.runtime.engine) as session:
            name = f"{role}-{secrets.token_hex(4)}"
            return create_token(session, name=name, role=role, now="2026-01-01T00:00:00Z", expires_at=expires_at)[1]

    def as_role(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role)}"}


@contextmanager
def open_service(data_dir: Path, **settings: Any) -> Iterator[LocalService]:
    """Start the application on `data_dir`, stop it at the end; one at a time in a process."""
    from provenance.api.app import create_app

    runtime = open_runtime(Settings(data_dir=data_dir, **settings))
    with TestClient(create_app(runtime), base_url="http://127.0.0.1", client=LOOPBACK) as client:
        service = LocalService(client, runtime)
        client.headers.update(service.as_role("admin"))
        yield service


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which things have happened; do not write to it, copy it."""
    data_dir = tmp_path_factory.mktemp("world") / "data"
    with open_service(data_dir) as service:
        service.capture(make_samples())
        student = service.declare()
        assert service.release(student, "tutor")["state"] == "partial"
        assert service.release(student, "closed", teacher="openai/gpt-4o")["state"] == "blocked"
        assert service.report("tutor@1")["state"] == "done"
    return data_dir


@pytest.fixture(scope="module")
def service(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """A service on a copy of `world`, one a test module."""
    data_dir = tmp_path_factory.mktemp("service") / "data"
    shutil.copytree(world, data_dir)
    with open_service(data_dir) as opened:
        yield opened


class ServiceProcess(Service):
    """`provenance serve` as its users start it; `kill` is `kill -9`."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.environment = {**os.environ, "PROVENANCE_DATA_DIR": str(data_dir), **environment}
        self.log = data_dir.parent / "service.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""
        self.prefix: tuple[str, ...] = ()  # what runs the command, such as a shell with a small disk of its own
        super().__init__(httpx.Client(timeout=30))

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.spawn()
        self._wait_until_up()
        if not self.token:
            self.token = self.make_token("test")
        self.client.headers["Authorization"] = f"Bearer {self.token}"

    def spawn(self) -> None:
        port = _free_port()
        command = [*self.prefix, sys.executable, "-m", "provenance", "serve", "--port", str(port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.client.close()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with suppress(httpx.HTTPError):
                if self.client.get("/readyz").status_code == 200:
                    return
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def make_token(self, name: str) -> str:
        """An administrator's token, made beside the running service."""
        settings = Settings(data_dir=self.data_dir, database_url=self.environment.get("PROVENANCE_DATABASE_URL"))
        from provenance.store.session import make_engine

        engine = make_engine(settings.resolved_database_url)
        with write_session(engine) as session:
            token = create_token(session, name=name, role="admin", now="2026-01-01T00:00:00Z", expires_at=None)[1]
        engine.dispose()
        return token

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to stop, as an init system does."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)

    def close(self) -> None:
        self.kill()
        self.client.close()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services that end with the test."""
    started: list[ServiceProcess] = []

    def start(data_dir: Path | None = None, **environment: str) -> ServiceProcess:
        started.append(ServiceProcess(data_dir or tmp_path / "data", **environment))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
