"""A service of several processes as tests use it: who is who, one worker at a time, load from many pipelines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlmodel import select

from provenance.ledger.audit import audit_log
from provenance.ledger.keys import open_keys
from provenance.settings import Settings
from provenance.store.session import make_engine, read_session
from provenance.store.tables import StatementRow
from tests.service import Service, ServiceProcess, make_sample

SEQUENCER, JOBS = "the sequencer", "the jobs process"
NAMED = re.compile(r"(the sequencer|the jobs process|worker \d+) is process (\d+)")
KILLED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.ConnectError)


def processes(service: ServiceProcess) -> dict[str, int]:
    """The process of each name, as the parent said last."""
    return {name: int(pid) for name, pid in NAMED.findall(service.log.read_text())}


def is_running(pid: int) -> bool:
    """Whether this process lives; one that waits to be reaped does not."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(said.strip()) and not said.strip().startswith("Z")


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def kill(service: ServiceProcess, name: str) -> int:
    """`kill -9` of one of its processes; the answer is its number."""
    pid = processes(service)[name]
    os.kill(pid, signal.SIGKILL)
    return pid


def kill_and_see_again(service: ServiceProcess, name: str) -> None:
    """`kill -9` of one of its processes, which the parent starts again."""
    pid = kill(service, name)
    try:
        wait_until(lambda: processes(service)[name] != pid)
    except AssertionError:
        pytest.fail(f"{name} ({pid}) did not come back:\n{_list_processes(service)}\n{service.log.read_text()}")


def _list_processes(service: ServiceProcess) -> str:
    numbers = [str(pid) for pid in (service.process.pid if service.process else 0, *processes(service).values())]
    command = ["ps", "-o", "pid,ppid,stat,wchan:32,etimes,args", "-p", ",".join(numbers)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def connect(service: ServiceProcess) -> Iterator[Service]:
    """The service over a connection of its own: some worker's."""
    with httpx.Client(base_url=service.client.base_url, headers=service.client.headers, timeout=30) as client:
        yield Service(client)


@contextmanager
def only(service: ServiceProcess, name: str) -> Iterator[Service]:
    """A service of which this worker alone answers: the others stand still meanwhile."""
    others = [pid for each, pid in processes(service).items() if each.startswith("worker") and each != name]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        with connect(service) as one:
            yield one
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def audit(service: ServiceProcess) -> list[StatementRow]:
    """Check the whole log with the service stopped; the answer is all governance statements."""
    service.stop()
    settings = Settings(data_dir=service.data_dir, database_url=service.environment.get("PROVENANCE_DATABASE_URL"))
    keys = service.data_dir / "keys"
    ring = open_keys(keys, (keys / "passphrase").read_text().strip())
    engine = make_engine(settings.resolved_database_url)
    with read_session(engine) as session:
        outcome = audit_log(session, ring.vkeys)
        statements = list(session.exec(select(StatementRow)))
        session.expunge_all()
    engine.dispose()
    assert outcome.ok, outcome.to_json()
    return statements


class Pipelines:
    """Pipelines that capture as fast as they can until they are stopped, and send again what was not answered."""

    def __init__(self, service: ServiceProcess, count: int = 6, *, batch: int = 5, with_keys: bool = True) -> None:
        self.receipts: list[dict[str, Any]] = []
        self.refusals: list[tuple[int, str]] = []
        self.broken = 0  # connections that ended under a request
        self._service, self._batch, self._with_keys = service, batch, with_keys
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, name: int) -> None:
        # A connection for each request: whichever worker is the quickest takes it.
        headers = {**self._service.client.headers, "Connection": "close"}
        number = 0
        with httpx.Client(base_url=self._service.client.base_url, headers=headers, timeout=30) as client:
            while not self._stop.is_set():
                number += self._send(client, f"pipeline-{name}-{number}")

    def _send(self, client: httpx.Client, key: str) -> bool:
        """Whether to go on with the next batch."""
        samples = [make_sample(i, dataset="load", external_id=f"{key}-{i}") for i in range(self._batch)]
        headers = {"Idempotency-Key": key} if self._with_keys else {}
        try:
            answer = client.post("/api/v1/samples", json=samples, headers=headers)
        except KILLED:
            self.broken += 1
            time.sleep(0.02)
            return not self._with_keys
        if answer.status_code == httpx.codes.CREATED:
            self.receipts.append(answer.json())
            return True
        self.refusals.append((answer.status_code, answer.text))
        return not self._with_keys

    def __enter__(self) -> Pipelines:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, more: int) -> None:
        """Wait until so many more batches were acknowledged."""
        wanted = len(self.receipts) + more
        wait_until(lambda: len(self.receipts) >= wanted, 20)

    def stop(self) -> None:
        """Let each finish what it sends."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def check(self, service: ServiceProcess) -> None:
        """Every acknowledged index was given once; call it while the service answers."""
        taken = [r["first_index"] + i for r in self.receipts for i in range(r["count"] + 1)]
        assert len(taken) == len(set(taken))
        assert max(taken) < service.log_size()
        if self._with_keys:  # all was sent until it was acknowledged, so nothing else is there
            assert service.get("/api/v1/datasets/load")["samples"] == self._batch * len(self.receipts)
