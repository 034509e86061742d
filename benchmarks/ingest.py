"""Durable append over HTTP: batches from several pipelines, counted at the client once the receipt is there.

One process, two workers beside their sequencer, and the straightforward service run at the same time and are asked in
turn. CPU is that of the service's processes; the pipelines' own is in neither.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it brings no types

from benchmarks.http import free_port, serve_process, start
from benchmarks.material import make_body
from benchmarks.measure import Options, Result, beside

PIPELINES = 4
NAIVE_BATCHES = 4
SEQUENCER = "the sequencer"
NAMED = re.compile(r"(the sequencer|the jobs process|worker \d+) is process (\d+)")


@dataclass
class Service:
    """One of those that are asked: its processes by name, how it is asked, and what it took."""

    name: str
    port: int
    headers: dict[str, str]
    processes: dict[str, psutil.Process]
    batches: int
    walls: list[float] = field(default_factory=list)
    spent: list[dict[str, float]] = field(default_factory=list)

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU of each process until now."""
        times = {name: process.cpu_times() for name, process in self.processes.items()}
        return {name: each.user + each.system for name, each in times.items()}


def run(options: Options, folder: Path) -> Iterator[Result]:
    """The same bodies for all; new salts make new entries of them each time."""
    bodies = [make_body(options.batch, number) for number in range(PIPELINES)]
    with ExitStack() as stack:
        services = [
            _ours(stack, folder / "one", 1, options.batches),
            _ours(stack, folder / "two", 2, options.batches),
            _naive(stack, folder / "naive", min(NAIVE_BATCHES, options.batches)),
        ]
        for service in services:
            _send_all(service, bodies, PIPELINES)  # each has its caches filled
        for service in itertools.chain.from_iterable([services] * options.rounds):
            before, begun = service.cpu(), time.perf_counter()
            _send_all(service, bodies, service.batches)
            service.walls.append(time.perf_counter() - begun)
            service.spent.append({name: seconds - before[name] for name, seconds in service.cpu().items()})
    lines = [_line(service, options.batch) for service in services]
    yield from (beside(line, lines[-1]) for line in lines[:-1])
    yield lines[-1]


def _line(service: Service, batch: int) -> Result:
    samples = service.batches * batch
    median = {name: statistics.median(each[name] for each in service.spent) for name in service.processes}
    more = {}
    if SEQUENCER in median:
        workers = sum(seconds for name, seconds in median.items() if name.startswith("worker"))
        more = {"worker_us": 1e6 * workers / samples, "sequencer_us": 1e6 * median[SEQUENCER] / samples}
    wall = statistics.median(service.walls)
    return Result(service.name, "samples", samples, wall, max(sum(median.values()), 1e-9), more=more)


def _ours(stack: ExitStack, data_dir: Path, workers: int, batches: int) -> Service:
    log = data_dir.with_suffix(".log")
    port, process = stack.enter_context(serve_process(data_dir, log, PROVENANCE_WORKERS=str(workers)))
    command = [
        sys.executable,
        "-m",
        "provenance",
        "token",
        "create",
        "--name",
        "bench",
        "--role",
        "collector",
        "--json",
    ]
    environment = {**os.environ, "PROVENANCE_DATA_DIR": str(data_dir), "PROVENANCE_KEY_PASSPHRASE": "bench"}
    made = subprocess.run(command, env=environment, check=True, capture_output=True)
    headers = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {json.loads(made.stdout)['token']}"}
    processes = {"service": psutil.Process(process.pid)}
    processes |= {name: psutil.Process(int(pid)) for name, pid in NAMED.findall(log.read_text())}
    kind = "1 process" if workers == 1 else f"{workers} workers and the sequencer"
    return Service(f"POST /api/v1/samples, {PIPELINES} pipelines, {kind}", port, headers, processes, batches)


def _naive(stack: ExitStack, folder: Path, batches: int) -> Service:
    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.naive_service", str(port), str(folder)]
    process = stack.enter_context(start(command, port, folder / "log", dict(os.environ)))
    name = "  naive: FastAPI, pydantic, rfc8785, Ed25519 each, ORM, 1 process"
    return Service(name, port, {}, {"service": psutil.Process(process.pid)}, batches)


def _send_all(service: Service, bodies: list[bytes], batches: int) -> None:
    with ThreadPoolExecutor(PIPELINES) as pool:
        shares = [range(number, batches, PIPELINES) for number in range(PIPELINES)]
        list(pool.map(lambda share, body: _send(service, body, len(share)), shares, bodies))


def _send(service: Service, body: bytes, times: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    for _ in range(times):
        connection.request("POST", "/api/v1/samples", body, service.headers)
        answer = connection.getresponse()
        read = answer.read()
        if answer.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"the service answered {answer.status}: {read[:300]!r}")
    connection.close()
