"""A real Ray cluster for tests, in an environment of its own: Ray is no dependency of ours.

`RAY_ENVIRONMENT` names a virtual environment with `ray[default]`; with `RAY_ENVIRONMENT_BUILD=1` it is made there first
(about half a minute, 400 MB). A cluster takes some 1.4 GB and 17 processes, so it is started for the tests that ask for it.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

REQUIREMENT = "ray[default]==2.60.0"
START_SECONDS = 120.0
TOKEN = secrets.token_hex(32)


@functools.cache
def find_environment() -> Path | None:
    """The folder of the environment, or None."""
    said = os.environ.get("RAY_ENVIRONMENT")
    if not said:
        return None
    folder = Path(said)
    if not (folder / "bin" / "ray").exists() and os.environ.get("RAY_ENVIRONMENT_BUILD") == "1":
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
    return folder if (folder / "bin" / "ray").exists() else None


def free_port() -> int:
    # Below the ports that Ray gives to its workers (10002 to 19999).
    while True:
        port = 7000 + secrets.randbelow(2900)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


class RayCluster:
    """One head node on this machine, which does not see the system's programs that are `hidden`."""

    def __init__(
        self, *, cpus: int = 2, gpus: int = 0, token: str | None = TOKEN, hidden: tuple[str, ...] = ()
    ) -> None:
        environment = find_environment()
        assert environment is not None
        self.token, self.cpus, self.gpus = token, cpus, gpus
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: it holds unix sockets
        self._path = _path_without(hidden, self.folder / "bin") if hidden else "/usr/bin:/bin"
        self._environment, self._process = environment, None  # type: tuple[Path, subprocess.Popen[bytes] | None]
        self.start()

    def start(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        variables = {"PATH": f"{self._environment / 'bin'}:{self._path}", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        if self.token is not None:
            variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        ports = {"port": 0, "dashboard-port": self.port, "ray-client-server-port": free_port()}
        options = {**ports, "dashboard-host": "127.0.0.1", "dashboard-agent-listen-port": 0, "num-cpus": self.cpus,
                   "num-gpus": self.gpus, "temp-dir": self.folder, "object-store-memory": 100_000_000}  # fmt: skip
        command = [str(self._environment / "bin" / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
        with (self.folder / "start.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in options.items())],
                env=variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            try:
                said = httpx.get(f"{self.url}/api/cluster_status", headers=headers, timeout=5).json()
                if said["data"]["clusterStatus"]["loadMetricsReport"]["usageByNode"]:
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            time.sleep(0.3)
        raise AssertionError((self.folder / "start.log").read_text()[-2000:])

    def stop(self) -> None:
        """End what was started here, and only that: `ray stop` would end every Ray on this machine."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=60)
            finally:
                for pid in self.processes():
                    os.kill(pid, signal.SIGKILL)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[int]:
        """Processes that carry this cluster's folder in their command line or variables."""
        return find_processes(str(self.folder))


def _path_without(hidden: tuple[str, ...], folder: Path) -> str:
    folder.mkdir()
    for program in [*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()]:
        if program.name not in hidden and not (folder / program.name).exists():
            (folder / program.name).symlink_to(program)
    return str(folder)


def find_processes(text: str) -> list[int]:
    """The processes whose command line or variables hold `text`, without this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in said and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found
