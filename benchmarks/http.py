"""Decisions over HTTP: a real service in a process of its own, asked over kept connections on loopback."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.decisions import write_cases
from benchmarks.measure import Options, Result, percentiles
from provenance.policy.cases import load_cases

CONNECTIONS = 4
START_SECONDS = 180.0


def run(options: Options, folder: Path) -> Iterator[Result]:
    """One connection for the latency, several for the rate; the client's own time is in both."""
    bodies = [body.replace(b'"id":', b'"_":', 1) for body in write_cases(load_cases(), options.questions)]
    bodies = [b"{" + body.split(b",", 1)[1] for body in bodies]  # the service takes the question without its name
    with serve_process(folder / "http", folder / "http.log") as (port, _):
        _ask_all(port, bodies[:50])
        yield _line("POST /api/v1/decisions, 1 connection", port, [bodies])
        yield _line(
            f"POST /api/v1/decisions, {CONNECTIONS} connections",
            port,
            [bodies[n::CONNECTIONS] for n in range(CONNECTIONS)],
        )


def _line(name: str, port: int, shares: list[list[bytes]]) -> Result:
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(shares)) as pool:
        took = [seconds for part in pool.map(lambda share: _ask_all(port, share), shares) for seconds in part]
    return Result(name, "decisions", len(took), time.perf_counter() - begun, None, more=percentiles(took))


def _ask_all(port: int, bodies: list[bytes]) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    took = []
    for body in bodies:
        begun = time.perf_counter()
        connection.request("POST", "/api/v1/decisions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        took.append(time.perf_counter() - begun)
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"the service answered {answer.status}: {read[:300]!r}")
    connection.close()
    return took


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def serve_process(data_dir: Path, log: Path, **settings: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`provenance serve` on a data directory of its own: its port and process. What it says goes to `log`."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVENANCE_")}
    environment |= {"PROVENANCE_DATA_DIR": str(data_dir), "PROVENANCE_KEY_PASSPHRASE": "bench", **settings}
    command = [sys.executable, "-m", "provenance", "serve", "--port", str(port)]
    with start(command, port, log, environment) as process:
        yield port, process


@contextmanager
def start(command: list[str], port: int, log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a process of its own, from when it answers until the end."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
    try:
        _wait(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the service did not start")
