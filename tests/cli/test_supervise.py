"""The parent of several processes: what dies once it was up comes back, what never comes up ends all, and all is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.service import ROOT

PROGRAM = """
import logging, os, sys, time
from pathlib import Path
from provenance.cli.supervise import Child, Supervisor

logging.basicConfig(level=logging.INFO, format="%(message)s")
folder = Path(sys.argv[1])

def stay(name, is_up):
    (folder / name).write_text(str(os.getpid()))
    is_up()
    time.sleep(60)

def stay_once_asked(is_up):
    while not (folder / "go").exists():
        time.sleep(0.01)
    stay("late", is_up)

def leave(is_up):
    os._exit(5)

acts = {"early": lambda is_up: stay("early", is_up), "late": stay_once_asked, "leaver": leave}
children = [Child(name, acts[name], 0, 5.0) for name in sys.argv[2:]]
sys.exit(Supervisor(children, lambda: print("all are up", flush=True)).run())
"""


def start(folder: Path, *names: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), *names]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_pid(path: Path, other_than: int = 0) -> int:
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        text = path.read_text() if path.exists() else ""
        if text and int(text) != other_than:
            return int(text)
        time.sleep(0.01)


def test_a_child_that_dies_while_others_still_start_comes_back(tmp_path: Path) -> None:
    service = start(tmp_path, "early", "late")
    first = read_pid(tmp_path / "early")
    time.sleep(0.2)  # its parent has read that it is up
    os.kill(first, signal.SIGKILL)
    read_pid(tmp_path / "early", other_than=first)
    (tmp_path / "go").touch()
    assert service.stdout is not None
    assert service.stdout.readline() == "all are up\n"
    service.send_signal(signal.SIGTERM)
    _, errors = service.communicate(timeout=60)
    assert service.returncode == 0
    assert "early ended with signal 9; it is started again" in errors


def test_a_child_that_never_comes_up_ends_all_and_says_so(tmp_path: Path) -> None:
    service = start(tmp_path, "early", "leaver")
    output, errors = service.communicate(timeout=60)
    assert (service.returncode, output) == (5, "")
    assert "leaver ended with code 5 before it was up; the service ends" in errors
