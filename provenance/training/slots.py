"""Slots of this machine: which GPUs a run holds, and how many runs may use the processors at a time.

- A slot is a locked file. The run's process inherits the lock, so a slot is taken exactly as long as that process lives:
  a service that is killed gives nothing away, and one that starts again finds what is taken. No table has to be put right.
- All slots of a run are taken together or none is. Who is next is for the caller to say.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provenance.errors import FieldError, MalformedError

CPU = "cpu"


@dataclass
class Held:
    """Slots that are taken: their names, and the locked files that a process must inherit."""

    names: tuple[str, ...]
    files: tuple[int, ...]

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs among them, as CUDA_VISIBLE_DEVICES names them."""
        return tuple(name.removeprefix("gpu-") for name in self.names if name.startswith("gpu-"))

    def close(self) -> None:
        """Let go; a process that inherited the locks keeps them."""
        files, self.files = self.files, ()
        for file in files:
            os.close(file)


def list_gpus() -> tuple[str, ...]:
    """The GPUs that this service may use, as CUDA_VISIBLE_DEVICES names them; none where there is no driver to ask."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        names = [name.strip() for name in said.split(",") if name.strip()]
        return tuple(names[: names.index("-1")] if "-1" in names else names)
    try:
        import pynvml

        pynvml.nvmlInit()
        return tuple(str(place) for place in range(pynvml.nvmlDeviceGetCount()))
    except Exception:  # noqa: BLE001  # no package, driver or device: there is no GPU to give away
        return ()


def count_gpus(asked: int, present: Sequence[str]) -> int:
    """How many GPUs a run gets: what was asked for, or with 0 all that there are.

    Raises:
        MalformedError: more than this machine has.
    """
    if asked > len(present):
        expected = f"at most {len(present)}, the GPUs of this machine"
        raise MalformedError(f"gpus: expected {expected}, got {asked}", FieldError("gpus", asked, expected))
    return asked or len(present)


def take_slots(folder: Path, gpus: int, *, cpu_slots: int, present: Sequence[str] | None = None) -> Held | None:
    """Take `gpus` GPUs, or without any one of the processors' slots; None while too few are free."""
    named = list_gpus() if present is None else present
    names = [f"gpu-{name}" for name in named] if gpus else [f"{CPU}-{place}" for place in range(cpu_slots)]
    taken: list[tuple[str, int]] = []
    for name in names:
        file = lock_file(folder / f"{name.replace('/', '_')}.lock")
        if file is not None:
            taken.append((name, file))
        if len(taken) == (gpus or 1):
            return Held(tuple(name for name, _ in taken), tuple(file for _, file in taken))
    for _, file in taken:
        os.close(file)
    return None


def lock_file(path: Path) -> int | None:
    """The open, locked file, or None while another holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
