from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provenance.errors import MalformedError
from provenance.training import slots
from provenance.training.backend import Need
from provenance.training.local import LocalBackend, build_environment
from provenance.training.plan import Plan
from provenance.training.slots import Held, count_gpus, list_gpus, take_slots

TWO = ("0", "1")


def take(folder: Path, gpus: int, cpu_slots: int = 1) -> Held | None:
    return take_slots(folder, gpus, cpu_slots=cpu_slots, present=TWO)


def test_a_slot_is_held_by_one_run_at_a_time_and_all_of_a_run_or_none(tmp_path: Path) -> None:
    one = take(tmp_path, 1)
    assert one is not None
    assert one.gpus == ("0",)
    assert take(tmp_path, 2) is None  # and it took nothing on its way
    other = take(tmp_path, 1)
    assert other is not None
    assert other.gpus == ("1",)
    assert take(tmp_path, 1) is None
    one.close()
    one.close()
    again = take(tmp_path, 1)
    assert again is not None
    assert again.gpus == ("0",)
    other.close()
    again.close()


def test_runs_without_gpus_take_the_processors_slots(tmp_path: Path) -> None:
    held = [take(tmp_path, 0, cpu_slots=2) for _ in range(3)]
    assert [each is None for each in held] == [False, False, True]
    assert held[0] is not None
    assert held[0].gpus == ()
    gpu = take(tmp_path, 2)  # the GPUs are slots of their own
    assert gpu is not None
    for each in (*held, gpu):
        if each is not None:
            each.close()


def test_a_slot_is_taken_as_long_as_the_runs_process_lives_whoever_started_it(tmp_path: Path) -> None:
    """A service takes a slot, starts a run with it and is killed; the run goes on."""
    program = (
        "import subprocess, sys, os, signal\n"
        "from pathlib import Path\n"
        "from provenance.training.slots import take_slots\n"
        "held = take_slots(Path(sys.argv[1]), 1, cpu_slots=1, present=('0',))\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "null = subprocess.DEVNULL\n"
        "run = subprocess.Popen(sleep, pass_fds=held.files, start_new_session=True, stdout=null, stderr=null)\n"
        "print(run.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert take_slots(tmp_path, 1, cpu_slots=1, present=("0",)) is None
    os.kill(int(done.stdout), signal.SIGKILL)
    give_up = time.monotonic() + 10
    while (held := take_slots(tmp_path, 1, cpu_slots=1, present=("0",))) is None:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    held.close()


def test_more_gpus_than_there_are_is_refused_and_without_a_number_all_are_meant() -> None:
    assert [count_gpus(asked, TWO) for asked in (0, 1, 2)] == [2, 1, 2]
    assert count_gpus(0, ()) == 0
    for asked, present in ((3, TWO), (1, ())):
        with pytest.raises(MalformedError, match=f"at most {len(present)}, the GPUs of this machine") as caught:
            count_gpus(asked, present)
        assert caught.value.errors[0].field == "gpus"


@pytest.mark.parametrize(
    ("said", "gpus"),
    [("0,1", ("0", "1")), ("", ()), ("-1", ()), ("3", ("3",)), ("GPU-a1b2, GPU-c3", ("GPU-a1b2", "GPU-c3")), ("0,-1,2", ("0",))],
)  # fmt: skip
def test_the_services_own_limits_hold_for_its_runs(
    monkeypatch: pytest.MonkeyPatch, said: str, gpus: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert list_gpus() == gpus


def test_a_run_sees_its_own_gpus_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    plan = Plan(run_id="r", release_dir="/r", release_digest="sha256:" + "0" * 64, output_dir=str(tmp_path))
    assert build_environment(plan, ("1", "2"))["CUDA_VISIBLE_DEVICES"] == "1,2"
    assert build_environment(plan, ())["CUDA_VISIBLE_DEVICES"] == ""
    assert build_environment(plan)["CUDA_VISIBLE_DEVICES"] == "0,1,2"


def test_the_local_backend_gives_each_gpu_a_process_and_says_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(tmp_path / "slots")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert backend.complete(Need()) == Need(2, 2)
    assert backend.complete(Need(1)) == Need(1, 1)
    held = backend.reserve(Need(2, 2))
    assert isinstance(held, Held)
    assert backend.reserve(Need(1, 1)) == "1 free GPU(s) of this machine"
    held.close()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert backend.complete(Need(0, 3)) == Need(0, 3)
    first = backend.reserve(Need())
    assert isinstance(first, Held)
    assert backend.reserve(Need()) == "one of 1 processor slot(s) of this machine"
    first.close()


def test_a_lock_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = slots.lock_file(tmp_path / "slots" / "x.lock")
    assert file is not None
    assert os.fstat(file).st_mode & 0o777 == 0o600
    os.close(file)
