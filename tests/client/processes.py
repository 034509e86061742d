"""The real service and real pipelines as processes of their own, so that they can be killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90


def run_command(*arguments: str, data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`provenance ARGUMENTS`, to its end."""
    command = [sys.executable, "-m", "provenance.cli.app", *arguments]
    return subprocess.run(
        command,
        env=make_environment(data_dir, environment),
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )


def run_json(*arguments: str, data_dir: Path, **environment: str) -> Any:
    """The JSON that a command prints; it must end with 0."""
    done = run_command(*arguments, "--json", data_dir=data_dir, **environment)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def make_environment(data_dir: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process on `data_dir`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVENANCE_")}
    return kept | {"PROVENANCE_DATA_DIR": str(data_dir), "COLUMNS": "200"} | dict(more)


class ServiceProcess:
    """`provenance serve` on a data directory; the same port each time, so that pipelines find it again."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        command = [sys.executable, "-m", "provenance.cli.app", "serve", "--port", str(self.port)]
        output = (self.data_dir.parent / "serve.log").open("ab")
        self._process = subprocess.Popen(
            command, env=make_environment(self.data_dir, {}), cwd=ROOT, stdout=output, stderr=output
        )
        output.close()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.data_dir.parent / "serve.log").read_text()
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError((self.data_dir.parent / "serve.log").read_text())

    def kill(self) -> None:
        """kill -9, at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def make_token(self, role: str = "admin", name: str = "test") -> str:
        """A token, made by the command beside the running service."""
        made = run_json("token", "create", "--name", name, "--role", role, data_dir=self.data_dir)
        return str(made["token"])


def start_python(program: str, *arguments: str, data_dir: Path, **environment: str) -> subprocess.Popen[str]:
    """A pipeline: a Python program in its own process, its output readable line by line."""
    command: Sequence[str] = [sys.executable, "-u", "-c", program, *arguments]
    return subprocess.Popen(
        command, env=make_environment(data_dir, environment), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
