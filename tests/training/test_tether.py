from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provenance.training.local import tethered
from provenance.training.tether import PARENT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tether is Linux's")
SLEEP = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def start_parent(child: list[str]) -> tuple[subprocess.Popen[str], int]:
    """A process that starts `child` in a session of its own, as torchrun does; and the child's number."""
    program = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({child!r}, start_new_session=True, stdout=subprocess.PIPE, text=True)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@pytest.mark.parametrize("bound", [True, False])
def test_a_tethered_process_dies_with_its_parent_and_an_ordinary_one_does_not(bound: bool) -> None:
    parent, child = start_parent(tethered(SLEEP) if bound else SLEEP)
    assert is_alive(child)
    parent.kill()
    parent.wait()
    assert parent.stdout is not None
    parent.stdout.close()
    give_up = time.monotonic() + 10 if bound else time.monotonic() + 0.5
    while is_alive(child) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert is_alive(child) is not bound
    if not bound:
        os.kill(child, signal.SIGKILL)


def test_a_process_whose_parent_has_gone_already_ends_at_once() -> None:
    done = subprocess.run(
        tethered(SLEEP), env={**os.environ, PARENT: "1"}, timeout=20, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (137, b"")


def test_the_command_gets_its_arguments_and_not_the_tethers_variable() -> None:
    program = f"import os, sys; print(sys.argv[1:], {PARENT!r} in os.environ)"
    command = tethered([sys.executable, "-c", program, "a b", ""])
    environment = {**os.environ, PARENT: str(os.getpid())}
    done = subprocess.run(command, env=environment, timeout=20, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['a b', ''] False"
