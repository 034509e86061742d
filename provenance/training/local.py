"""Run a plan on this machine: a process in a session of its own, which outlives a restart of the service.

- A handle is two numbers, process id and its start time; together they never name another process, and they are all
  that must be stored.
- The process gets only the variables listed here: no token, key or password of the service reaches it.
- What a run came to stands in its `result.json`; a process that ended without one was lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.errors import MalformedError
from provenance.ledger.publish import write_file
from provenance.training.attempt import read_seconds_before
from provenance.training.backend import Need, State, Status
from provenance.training.extras import require
from provenance.training.plan import Plan, parse_plan
from provenance.training.sandbox import PACKAGE_ROOT, Level, wrap_command
from provenance.training.slots import Held, count_gpus, list_gpus, take_slots

CANCEL = "cancel"
EVENTS = "events.jsonl"
LOG = "process.log"
RESULT = "result.json"
LOCK = ".lock"

PROCESS = "process.json"
SECONDS_BEFORE = "PROVENANCE_SECONDS_BEFORE"
"""Names the variable that says how long the run had trained before the attempt that a person asked for."""
_PASSED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
)
_MALLOC = {
    # glibc gives the logits' memory back to the system at every step; on a CPU that costs more than the step.
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "500000000",
}


@dataclass(frozen=True)
class Handle:
    """A running or ended process; `start_time` is the system's own count (clock ticks since boot on Linux)."""

    pid: int
    start_time: str
    level: Level


def build_environment(plan: Plan, gpus: Sequence[str] | None = None) -> dict[str, str]:
    """The variables of the training process: an allow-list, never the service's own environment.

    Args:
        gpus: the only GPUs that it shall see; None leaves that as it is here.
    """
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    output = Path(plan.output_dir).resolve()
    threads = plan.threads or max(1, (os.cpu_count() or 1) // plan.processes)
    environment |= _MALLOC | {
        "HOME": str(output),
        "HF_HOME": str(output / ".cache"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GLOO_SOCKET_IFNAME": "lo",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # CUDA numbers the GPUs as the driver, our slots and our events do
        # Trackers write into the run's folder: there is no network inside, and a person says later what may leave.
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(output),
        "MLFLOW_TRACKING_URI": f"sqlite:///{output}/mlflow.db",
        "PYTHONPATH": str(PACKAGE_ROOT),
        "PYTHONHASHSEED": str(plan.seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
    return environment


def build_command(plan: Plan, plan_path: Path) -> list[str]:
    """The process's command line; more than one process goes through `torchrun`, whose workers die with it."""
    trainer = [sys.executable, "-m", "provenance.training.distill", str(plan_path.resolve())]
    if plan.processes == 1:
        return trainer
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    return [*launcher, "--nproc-per-node", str(plan.processes), *tethered(trainer)]


def tethered(command: Sequence[str]) -> list[str]:
    """The command as one that dies with its parent."""
    return [sys.executable, "-m", "provenance.training.tether", *command]


def start_process(
    plan_path: Path, *, level: Level | None = None, held: Held | None = None, seconds_before: float = 0.0
) -> Handle:
    """Start the run of a plan; a run that has a whole checkpoint goes on from it.

    Args:
        seconds_before: of the training so far, what the plan's deadline no longer counts.
        held: the slots that it runs on; the process inherits their locks and sees no other GPU.

    Raises:
        UnavailableError: the training packages are not installed.
        MalformedError: the plan is bad, or its output folder cannot be written.
    """
    require()
    plan = parse_plan(plan_path.read_bytes())
    output = Path(plan.output_dir)
    try:
        output.mkdir(parents=True, exist_ok=True)
        log = (output / LOG).open("ab")
    except OSError as exc:
        raise MalformedError(f"output_dir: {output} cannot be written: {exc.strerror}") from exc
    if plan.answers_dir is not None:
        Path(plan.answers_dir).mkdir(exist_ok=True)
    folders = [plan.release_dir, plan.base_model_dir, plan.teacher_dir, plan.answers_dir]
    read_only = [plan_path, *(Path(folder) for folder in folders if folder is not None)]
    command, reached = wrap_command(build_command(plan, plan_path), read_only=read_only, writable=output, level=level)
    environment = build_environment(plan, held.gpus if held else None)
    environment |= {"PROVENANCE_ISOLATION": reached, SECONDS_BEFORE: str(seconds_before)}
    with log:
        process = subprocess.Popen(  # noqa: S603  # our interpreter, our module, a plan that was checked
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=held.files if held else (),
            cwd=output,
        )
    handle = Handle(process.pid, _start_time(process.pid) or "", reached)
    process.returncode = 0  # the process is followed by its handle, also by another service: this object must not care
    return handle


def reattach(pid: int, start_time: str, level: Level = "plain") -> Handle | None:
    """The handle of a process started by an earlier service, or None when it no longer runs."""
    return Handle(pid, start_time, level) if _start_time(pid) == start_time else None


def poll(handle: Handle, output_dir: Path) -> Status:
    """How the run stands. Its own `result.json` is believed only after the process has gone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(handle.pid, os.WNOHANG)  # our own child: let the system forget it
    if _start_time(handle.pid) == handle.start_time:
        return Status("running")
    return read_result(output_dir)


def read_result(output_dir: Path) -> Status:
    """What an ended run left behind."""
    try:
        result = json.loads((output_dir / RESULT).read_bytes())
        state: State = result["state"]
        return Status(state, result, result.get("detail"))
    except (OSError, ValueError, KeyError, TypeError):
        return Status(
            "lost", None, "the process ended without a result: killed, out of memory, or the machine went down"
        )


def kill(handle: Handle) -> None:
    """End the whole process group at once; the process is checked first, so a reused number is never hit."""
    if _start_time(handle.pid) == handle.start_time:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(handle.pid, signal.SIGKILL)


def _start_time(pid: int) -> str | None:
    """When the process started, None when there is none (an ended child that nobody asked about counts as none)."""
    try:
        # The name in brackets may hold spaces and brackets: the fields after the last bracket are safe.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return None if sys.platform == "linux" else _start_time_by_ps(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def _start_time_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603  # fixed words and a number
    state, _, started = answer.partition(" ")
    return started.strip() if answer and not state.startswith("Z") else None


@dataclass(frozen=True)
class LocalBackend:
    """This machine: its GPUs are slots, and so are runs on its processors."""

    slots: Path
    cpu_slots: int = 1
    name: str = "local"
    poll_seconds: float = 0.5
    hold_seconds: float | None = None

    def complete(self, need: Need) -> Need:
        """Without a number, all GPUs of this machine; one process each."""
        gpus = count_gpus(need.gpus, list_gpus())
        return Need(gpus, gpus or need.processes)

    def check(self, need: Need) -> None:
        """More GPUs than there are were refused by `complete`."""

    def place(self, plan: Plan, folder: Path) -> Plan:  # noqa: ARG002  # the interface's
        """Everything is here already."""
        return plan

    def reserve(self, need: Need) -> Held | str:
        """Lock the slots; see `slots`."""
        held = take_slots(self.slots, need.gpus, cpu_slots=self.cpu_slots)
        what = f"{need.gpus} free GPU(s)" if need.gpus else f"one of {self.cpu_slots} processor slot(s)"
        return held or f"{what} of this machine"

    def find(self, folder: Path) -> bool:
        """Whether its process still runs."""
        handle = self._handle(folder)
        return handle is not None and reattach(handle.pid, handle.start_time, handle.level) is not None

    def start(self, folder: Path, need: Need, held: Held) -> None:  # noqa: ARG002  # the plan says how many processes
        """Start the process and note its handle."""
        handle = start_process(folder / "plan.json", held=held, seconds_before=read_seconds_before(folder))
        said = {"pid": handle.pid, "start_time": handle.start_time, "level": handle.level}
        write_file(folder / PROCESS, json.dumps(said).encode())

    def poll(self, folder: Path) -> Status:
        """See `poll`."""
        handle = self._handle(folder)
        return read_result(folder / "out") if handle is None else poll(handle, folder / "out")

    def kill(self, folder: Path) -> None:
        """Kill the process group and wait until it is gone."""
        handle = self._handle(folder)
        if handle is not None:
            kill(handle)
            while poll(handle, folder / "out").state == "running":
                time.sleep(0.05)

    def clear(self, folder: Path) -> None:
        """Nothing lies elsewhere."""

    def describe(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002  # the interface's
        """Its name."""
        return {"name": self.name}

    @staticmethod
    def _handle(folder: Path) -> Handle | None:
        path = folder / PROCESS
        if not path.exists():
            return None
        said = json.loads(path.read_bytes())
        return Handle(said["pid"], said["start_time"], said["level"])
