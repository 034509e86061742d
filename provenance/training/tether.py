"""Tie a process to its parent: `python -m provenance.training.tether COMMAND...` runs the command, which dies with its parent.

A killed parent cannot end its children. `torchrun` puts its workers into sessions of their own, and a cluster may kill
only what it started itself; the kernel ends a tethered process in both cases. Linux only; elsewhere it is just the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT = "PROVENANCE_PARENT"
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def tether(parent: int | None = None) -> None:
    """From now on this process is killed when its parent ends; it ends at once if that has happened already."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def main() -> None:
    """Become the command of the command line; the kernel keeps the tether over `exec`."""
    said = os.environ.pop(PARENT, None)
    tether(int(said) if said else None)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  # the launcher's own command


if __name__ == "__main__":
    main()
