"""The parent of a service of several processes: forks them, starts again what dies, and ends them in order.

- A child is forked from a parent that has one thread and no connection, so that it starts in the time of its own work.
- A child that dies is started again, after a pause that doubles up to `MAX_PAUSE_SECONDS` while it does not stay. One that
  never was up ends the service: what keeps it from starting would keep it the next time too.
- Children notice the end of the parent, also by `kill -9`, by the end of a pipe, and end at once. They hold the lock of
  the data directory with it, so that no other service begins before the last of them is gone.
- The end goes stage by stage: those who ask for entries first, then the one that writes them, which publishes.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from provenance.cli.output import print_error
from provenance.errors import ProvenanceError

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 10.0
STEADY_SECONDS = 30.0  # whoever lived that long begins anew with the shortest pause
ORPHANED = 70
_log = logging.getLogger(__name__)


@dataclass
class Child:
    """One process: what it does, told how to say that it is up, and how it goes.

    `stage` is when it is ended, the lowest first; after `patience_seconds` it is killed.
    """

    name: str
    act: Callable[[Callable[[], None]], None]
    stage: int
    patience_seconds: float
    pid: int | None = None
    up_fd: int | None = None
    is_up: bool = False
    begun: float = 0.0
    failures: int = 0
    due: float = 0.0


class Supervisor:
    """Runs `children` until a signal asks it to stop."""

    def __init__(self, children: Sequence[Child], announce: Callable[[], None]) -> None:
        self._children, self._announce = children, announce
        self._alive = os.pipe()  # nobody writes to it; it ends with this process
        self._is_announced = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; the answer is an exit code, not 0 where a child could not start at first."""
        with _woken_by_signals() as wakeup:
            code = self._watch(wakeup)
            self._stop(wakeup)
        return code

    def _watch(self, wakeup: int) -> int:
        while True:
            now = time.monotonic()
            for child in self._children:
                if child.pid is None and child.due <= now:
                    self._fork(child, wakeup)
            if self._wait(wakeup, min((each.due for each in self._children if each.pid is None), default=now + 60)):
                return 0
            for child, status in self._reap():
                if not child.is_up:
                    code = os.waitstatus_to_exitcode(status)
                    _log.error("%s ended with %s before it was up; the service ends", child.name, _show(code))
                    return max(code, 1)  # whatever it was, it is no success
                self._plan_restart(child, status)
            if not self._is_announced and all(child.is_up for child in self._children):
                self._is_announced = True
                self._announce()

    def _wait(self, wakeup: int, until: float) -> bool:
        """Wait for a signal, for a child that says it is up, or until then; the answer is whether to stop."""
        waiting = {child.up_fd: child for child in self._children if child.up_fd is not None}
        ready, _, _ = select.select([wakeup, *waiting], [], [], max(0.0, until - time.monotonic()))
        for descriptor in ready:
            if descriptor in waiting:
                child = waiting[descriptor]
                child.is_up = child.is_up or bool(os.read(descriptor, 1))
                _close(child)
        return _asks_to_stop(wakeup) if wakeup in ready else False

    def _fork(self, child: Child, wakeup: int) -> None:
        child.begun = time.monotonic()
        child.up_fd, up = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(wakeup)
            self._become(child, up)
        os.close(up)
        child.pid = pid
        _log.info("%s is process %d", child.name, pid)

    def _become(self, child: Child, up: int) -> None:
        """The rest of the life of a child; it never returns."""
        code = 1
        try:
            self._let_go()
            threading.Thread(target=_end_with_parent, args=(self._alive[0],), name="parent", daemon=True).start()
            child.act(lambda: _say(up))
            code = 0
        except ProvenanceError as exc:
            print_error(exc, as_json=False)
            code = exc.exit_code
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's code
            traceback.print_exc()
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _let_go(self) -> None:
        os.setpgid(0, 0)  # Ctrl-C is the parent's
        signal.set_wakeup_fd(-1)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._alive[1])
        for each in self._children:
            _close(each)

    def _reap(self) -> Iterator[tuple[Child, int]]:
        for child in self._children:
            if child.pid is not None:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    child.pid = None
                    _close(child)
                    yield child, status

    def _plan_restart(self, child: Child, status: int) -> None:
        now = time.monotonic()
        child.failures = 0 if now - child.begun >= STEADY_SECONDS else child.failures
        pause = min(FIRST_PAUSE_SECONDS * 2**child.failures, MAX_PAUSE_SECONDS)
        child.failures, child.due = min(child.failures + 1, 16), now + pause
        code = os.waitstatus_to_exitcode(status)
        _log.error("%s ended with %s; it is started again in %.1f s", child.name, _show(code), pause)

    def _stop(self, wakeup: int) -> None:
        """End all, stage by stage; a second signal kills what is left."""
        for stage in sorted({child.stage for child in self._children}):
            going = [child for child in self._children if child.stage == stage and child.pid is not None]
            for child in going:
                _signal(child, signal.SIGTERM)
            deadline = time.monotonic() + max((child.patience_seconds for child in going), default=0.0)
            while any(child.pid is not None for child in going):
                is_hurried = self._wait(wakeup, min(deadline, time.monotonic() + 1))
                if is_hurried or time.monotonic() >= deadline:
                    for child in going:
                        _signal(child, signal.SIGKILL)
                list(self._reap())


def _say(descriptor: int) -> None:
    gc.freeze()  # what was opened stays: no collection need look at it, which is half the cost of reading a draft
    os.write(descriptor, b"1")
    os.close(descriptor)


def _close(child: Child) -> None:
    if child.up_fd is not None:
        os.close(child.up_fd)
        child.up_fd = None


def _signal(child: Child, number: signal.Signals) -> None:
    if child.pid is not None:
        os.kill(child.pid, number)  # it is ours until it is reaped, so its number is nobody else's


def _show(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"


def _end_with_parent(alive: int) -> None:
    os.read(alive, 1)
    os._exit(ORPHANED)


@contextmanager
def _woken_by_signals() -> Iterator[int]:
    """A descriptor on which the numbers of signals arrive; before and after, they do what they did."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    numbers = (*STOP_SIGNALS, signal.SIGCHLD)
    handlers = [signal.signal(number, _pass) for number in numbers]
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _pass(number: int, frame: FrameType | None) -> None:
    """Signals are read from the descriptor."""


def _asks_to_stop(wakeup: int) -> bool:
    with suppress(BlockingIOError):
        return bool(STOP_SIGNALS & set(os.read(wakeup, 4096)))
    return False
