"""Single samples from many clients at once, the gateway's case: a real service, its group commit, and the receipts."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it brings no types

from benchmarks.http import serve_process
from benchmarks.material import make_body
from benchmarks.measure import Options, Result, beside, percentiles

CLIENTS = 64


def run(options: Options, folder: Path) -> Iterator[Result]:
    """64 clients beside one; each posts one sample and waits for its receipt before the next."""
    token = make_token(folder / "data")
    with serve_process(folder / "data", folder / "service.log") as (port, service):
        post_singles(port, token, CLIENTS, CLIENTS)
        alone = _with_cpu(service.pid, lambda: post_singles(port, token, max(20, options.questions // 5), 1))
        many = _with_cpu(service.pid, lambda: post_singles(port, token, max(CLIENTS, options.questions * 4), CLIENTS))
    yield beside(many, alone)
    yield alone


def _with_cpu(pid: int, act: Callable[[], Result]) -> Result:
    """The result of `act` with the CPU of the service; the clients' own is not in it."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    line = act()
    after = process.cpu_times()
    return replace(line, cpu_seconds=after.user + after.system - before.user - before.system)


def make_token(data_dir: Path) -> str:
    """A token that may write, made on a fresh data directory."""
    done = subprocess.run(
        [sys.executable, "-m", "provenance", "token", "create", "--name", "bench", "--role", "collector", "--json"],
        env=_environment(data_dir), capture_output=True, check=True,
    )  # fmt: skip
    return str(json.loads(done.stdout)["token"])


def _environment(data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVENANCE_")}
    return {**kept, "PROVENANCE_DATA_DIR": str(data_dir), "PROVENANCE_KEY_PASSPHRASE": "bench"}


def post_singles(port: int, token: str, count: int, clients: int) -> Result:
    """`count` samples by so many clients; the note tells how many samples one signed checkpoint covers."""
    bodies = make_body(count, clients).split(b"\n")
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        parts = pool.map(lambda number: _post(port, token, bodies[number::clients]), range(clients))
        answers = [answer for part in parts for answer in part]
    wall = time.perf_counter() - begun
    took, commits = [seconds for seconds, _ in answers], len({note for _, note in answers})
    name = f"POST one sample, {clients} client{'s' if clients > 1 else ''}"
    return Result(name, "samples", count, wall, None, more=percentiles(took) | {"per_commit": count / commits})


def _post(port: int, token: str, bodies: list[bytes]) -> list[tuple[float, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {token}"}
    answers = []
    for body in bodies:
        begun = time.perf_counter()
        connection.request("POST", "/api/v1/samples", body, headers)
        answer = connection.getresponse()
        read = answer.read()
        took = time.perf_counter() - begun
        if answer.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"the service answered {answer.status}: {read[:300]!r}")
        answers.append((took, str(json.loads(read)["checkpoint"])))
    connection.close()
    return answers
