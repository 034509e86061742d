"""Every step of the writer that touches something outside its own memory, and a hand on each of them.

`watch` tells a function of each step before and after it is done: statements and commits (by SQLAlchemy's events), what
is asked of files (by the functions of `os`, `io`, `fcntl` and `shutil` that the code calls), hash, signature and answer.
The code under test knows nothing of it. Names of steps are normalised, so that a table of faults can speak of them.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from provenance.ledger import append as append_module
from provenance.ledger.edge import TileEdge
from provenance.store import rows as rows_module
from provenance.store.tables import metadata

Moment = Literal["before", "torn", "after"]
TORN_BYTES = 10
_STATEMENT = re.compile(rf"\b({'|'.join(sorted(metadata.tables, key=len, reverse=True))})\b")
_VERBS = {"SELECT": "read", "INSERT": "write", "UPDATE": "write", "DELETE": "write"}
# `.checkpoint.17-140` is the new checkpoint before it has its name; numbers of tiles and widths do not matter.
_TEMPORARY = re.compile(r"(^|/)\.([^/]+)\.\d+-\d+$")
_NUMBERS = re.compile(r"\d+(?=/|\.p|~|$)")
F_GETPATH = 50  # of macOS, which has no /proc


class InjectedError(Exception):
    """What breaks a step that has no error of its own."""


@dataclass
class Break:
    """Break `step` at its `number`th time (from 0): by its error, or by the death of this process."""

    step: str
    number: int
    moment: Moment
    deadly: bool = False
    fired: bool = False
    _seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, step: str, moment: Moment, subject: Any = None) -> None:
        """One moment of one step, as `watch` tells it."""
        if moment == "before":
            self._seen[step] += 1
        if self.fired or step != self.step or self._seen[step] != self.number + 1:
            return
        if self.moment == "torn" and moment == "before":
            os.ftruncate(subject, max(0, os.fstat(subject).st_size - TORN_BYTES))  # what no fsync had made durable
        elif moment != self.moment:
            return
        self.fired = True
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        raise error_of(step)


def error_of(step: str) -> Exception:
    """What a step raises when it fails."""
    verb = step.partition(" ")[0]
    if verb in {"begin", "commit", "read", "write"}:
        return OperationalError(step, {}, OSError(errno.EIO, "injected"))
    if verb in {"hash", "sign", "answer"}:
        return InjectedError(step)
    return OSError(errno.EIO, f"injected: {step}")


At = Callable[[str, Moment, Any], None]


@contextmanager
def watch(engine: Engine, root: Path, at: At) -> Iterator[None]:
    """Call `at(step, moment, subject)` around each step in this process that concerns `engine` or files below `root`."""
    with ExitStack() as stack:
        _watch_database(stack, engine, at)
        around = _Around(at)
        for module, name, say in _file_steps(root):
            stack.enter_context(mock.patch.object(module, name, around.wrap(getattr(module, name), say)))
        for owner, name, step in (
            (TileEdge, "extend", "hash"),
            (append_module, "sign_checkpoint", "sign"),
            (Future, "set_result", "answer"),
            (rows_module, "_copy", "write sample"),  # the driver's own way, of which SQLAlchemy tells nothing
        ):
            wrapped = around.wrap(getattr(owner, name), lambda *_, step=step, **__: step)
            stack.enter_context(mock.patch.object(owner, name, wrapped))
        yield


def count_steps(act: Callable[[At], None]) -> Counter[str]:
    """How often each step comes in `act`, which is handed the function to watch with."""
    seen: Counter[str] = Counter()
    act(lambda step, moment, _: seen.update([step] if moment == "before" else []))
    return seen


def _watch_database(stack: ExitStack, engine: Engine, at: At) -> None:
    def before(_c: Any, _cur: Any, statement: str, *_: Any) -> None:
        at(_name_statement(statement), "before", None)

    def after(_c: Any, _cur: Any, statement: str, *_: Any) -> None:
        at(_name_statement(statement), "after", None)

    for name, hook in (("before_cursor_execute", before), ("after_cursor_execute", after)):
        event.listen(engine, name, hook)
        stack.callback(event.remove, engine, name, hook)
    commit = _Around(at).wrap(engine.dialect.do_commit, lambda *_: "commit")
    stack.enter_context(mock.patch.object(engine.dialect, "do_commit", commit))


def _name_statement(statement: str) -> str:
    verb = statement.split(None, 1)[0]
    if verb == "BEGIN":
        return "begin to write" if "IMMEDIATE" in statement else "begin to read"
    found = _STATEMENT.search(statement.partition(" FROM ")[2] or statement if verb == "SELECT" else statement)
    assert found is not None, f"a statement on no table of ours: {statement}"
    return f"{_VERBS[verb]} {found[1]}"


class _Around:
    def __init__(self, at: At) -> None:
        self._at, self._inside = at, threading.local()

    def wrap(self, function: Callable[..., Any], say: Callable[..., str | None]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            step = None if getattr(self._inside, "deep", False) else say(*arguments, **options)
            if step is None:  # of no concern, or a part of a step
                return function(*arguments, **options)
            subject = arguments[0] if arguments else None
            self._at(step, "before", subject)
            self._inside.deep = True
            try:
                result = function(*arguments, **options)
            except FileNotFoundError:  # what is to be removed is gone
                self._at(step, "after", subject)
                raise
            finally:
                self._inside.deep = False
            try:
                self._at(step, "after", subject)
            except BaseException:
                _close(result)  # a function that fails hands out nothing
                raise
            return result

        return wrapped


def _close(result: Any) -> None:
    if isinstance(result, int):
        os.close(result)
    elif isinstance(result, io.IOBase):
        result.close()


def _file_steps(root: Path) -> list[tuple[Any, str, Callable[..., str | None]]]:
    def named(verb: str, position: int = 0) -> Callable[..., str | None]:
        def say(*arguments: Any, **_: Any) -> str | None:
            path = _name_path(root, arguments[position])
            return None if path is None else f"{verb} {path}"

        return say

    def opened(path: Any, mode: str = "r", *_: Any, **__: Any) -> str | None:
        return named("open" if set(mode) & set("wax+") else "load")(path)

    return [
        (os, "fsync", named("fsync")),
        (os, "replace", named("rename", 1)),
        (os, "mkdir", named("mkdir")),
        (os, "unlink", named("unlink")),
        (os, "open", named("open")),
        (io, "open", opened),
        (shutil, "rmtree", named("rmtree")),
        (fcntl, "flock", named("lock")),
    ]


def _name_path(root: Path, what: Any) -> str | None:
    """The normalised name of a path, file or descriptor below `root`; None for any other."""
    path = _path_of(what if isinstance(what, int | str | Path) else what.fileno())
    if not path.is_relative_to(root):
        return None
    name = _TEMPORARY.sub(r"\1\2~", str(path.relative_to(root)))
    return _NUMBERS.sub("N", name)


def _path_of(what: int | str | Path) -> Path:
    if not isinstance(what, int):
        return Path(what)
    if Path("/proc/self/fd").exists():
        return Path(f"/proc/self/fd/{what}").readlink()
    return Path(fcntl.fcntl(what, F_GETPATH, bytes(1024)).split(b"\0", 1)[0].decode())
