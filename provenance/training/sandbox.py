"""Shut the training process in, as far as this machine can, and say how far that was.

Levels, from the strongest; what is recorded is what was tried and worked, not what was asked for:
- `bwrap`: no network, all capabilities dropped, only the named folders in sight, release and models read-only, output writable;
- `unshare`: no network, nothing else;
- `plain`: an ordinary process (own session, scrubbed environment).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Level = Literal["bwrap", "unshare", "plain"]

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/lib32",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/hosts",
    "/etc/passwd",
    "/sys/devices/system",
)
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/dri")


def wrap_command(
    command: Sequence[str],
    *,
    read_only: Sequence[Path],
    writable: Path,
    level: Level | None = None,
    die_with_parent: bool = False,
) -> tuple[list[str], Level]:
    """The command inside the strongest sandbox that works here, and that sandbox's level.

    Args:
        read_only: release, model and plan; nothing else of the user's files is in sight at level `bwrap`.
        writable: the one folder that the process may change at level `bwrap`.
        level: take this level and no other.
        die_with_parent: at level `bwrap`, end all that is inside when whoever started it ends.
    """
    chosen = level or best_level()
    if chosen == "bwrap":
        bwrap, *arguments = _bwrap(read_only, writable)
        return [bwrap, *(["--die-with-parent"] if die_with_parent else []), *arguments, *command], chosen
    if chosen == "unshare":
        return ["unshare", "--user", "--map-current-user", "--net", *command], chosen
    return list(command), chosen


@functools.cache
def best_level() -> Level:
    """The strongest level that really starts a Python here; asked once in a process."""
    if shutil.which("bwrap") and _works([*_bwrap([], None), *_probe()]):
        return "bwrap"
    if shutil.which("unshare") and _works(["unshare", "--user", "--map-current-user", "--net", *_probe()]):
        return "unshare"
    return "plain"


def describe_level(level: Level) -> str:
    """What a level keeps out, in one sentence for the report."""
    return {
        "bwrap": "No network; only release, models and code were in sight, read-only; only the output folder was writable.",
        "unshare": "No network; the process could read and write what its user can.",
        "plain": "No isolation beyond a scrubbed environment: the process could use the network and its user's files.",
    }[level]


def _probe() -> list[str]:
    return [sys.executable, "-I", "-c", "import ssl, ctypes, os; os.listdir('/proc/self')"]


def _works(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)  # noqa: S603  # our own probe
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _bwrap(read_only: Sequence[Path], writable: Path | None) -> list[str]:
    # No --die-with-parent: a run outlives a restart of the service. No --new-session: the run is started in a session of its own
    # and must stay in its process group, so that a cancel reaches everything in it.
    arguments = ["bwrap", "--unshare-all", "--cap-drop", "ALL", "--hostname", "localhost"]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108  # the sandbox's own
    for path in (*_SYSTEM, *_interpreter()):
        arguments += ["--ro-bind-try", str(path), str(path)]
    for device in (*_GPU_DEVICES, *(str(path) for path in sorted(Path("/dev").glob("nvidia[0-9]*")))):
        arguments += ["--dev-bind-try", device, device]
    for path in read_only:
        arguments += ["--ro-bind", str(path.resolve()), str(path.resolve())]
    if writable is not None:
        arguments += ["--bind", str(writable.resolve()), str(writable.resolve()), "--chdir", str(writable.resolve())]
    return [*arguments, "--"]


def _interpreter() -> list[Path]:
    """Python's own folders and this package; a virtual environment's python is a link into the base installation."""
    executable = Path(os.path.realpath(sys.executable)).parent.parent
    return [Path(sys.base_prefix), executable, Path(sys.prefix), PACKAGE_ROOT / "provenance"]
