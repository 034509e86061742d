"""The processes of the demo: the service, which stays, and the teacher's server, which goes with the demo."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from provenance.errors import ConflictError, FieldError, UnavailableError

START_SECONDS = 120.0


def check_port(host: str, port: int) -> None:
    """Refuse a port that something else listens on.

    Raises:
        ConflictError: names the variable that chooses another one.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            expected = "a free port; stop what listens there (`make stop`), or set PROVENANCE_PORT"
            raise ConflictError(
                f"port {port} on {host} is in use; expected {expected}", FieldError("PROVENANCE_PORT", port, expected)
            ) from exc


def is_running(data_dir: Path, url: str) -> bool:
    """Whether the service of this data directory answers at `url` already, from an earlier demo."""
    try:
        holder = json.loads((data_dir / "service.lock").read_bytes())
        return bool(holder["url"] == url and httpx.get(f"{url}/readyz", timeout=2).is_success)
    except (OSError, ValueError, KeyError, TypeError, httpx.HTTPError):
        return False


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_background(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output in `log`; it outlives this one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(  # noqa: S603 - our own modules
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env=os.environ | environment,
        )


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    """Wait until `url` answers.

    Raises:
        UnavailableError: the process ended, or took too long; the end of its log is quoted.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2).status_code < 500:
                return
        if process.poll() is not None:
            break
        time.sleep(0.2)
    tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
    raise UnavailableError(f"{name} did not come up; its log {log} ends with:\n{tail}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and wait."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def run_command(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `provenance ARGUMENTS` as a user would, and keep what it says."""
    return subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "provenance", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_json(arguments: list[str], environment: dict[str, str]) -> Any:
    """The JSON that `provenance ARGUMENTS --json` prints.

    Raises:
        UnavailableError: it failed; what it said is quoted.
    """
    done = run_command([*arguments, "--json"], environment)
    if done.returncode != 0:
        raise UnavailableError(f"provenance {' '.join(arguments)} failed: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout)
