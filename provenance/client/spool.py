"""The spool: a folder that holds samples from the moment they were accepted until the service has them.

- A segment is an append-only file of samples, one JSON object a line. Its name is its Idempotency-Key.
- Who writes or sends a segment holds its lock; the lock of a killed process is free, so the next one sends its samples.
- A segment is locked before it gets its final name, so nobody takes it for an abandoned, empty one.
- What the service refused lies in `rejected/`, each sample beside the reason.

A line is with the operating system when `Segment.append` returns: killing this process loses nothing. Loss of power may
cost what was not yet synced, which `sync` does in the background.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import platformdirs

from provenance.errors import UnavailableError

SUFFIX = ".ndjson"
REJECTED = "rejected"
KEY_CHARACTERS = 20 + 1 + 16  # time and random part; a part of a cut segment adds its digest


def default_spool(url: str) -> Path:
    """The spool for the service at `url`: samples for one service are never sent to another."""
    home = os.environ.get("PROVENANCE_DATA_DIR")
    base = Path(home) if home else platformdirs.user_state_path("provenance")
    return base / "spool" / hashlib.sha256(url.encode()).hexdigest()[:16]


@dataclass
class Segment:
    """An open segment, locked by this object."""

    path: Path
    descriptor: int
    lines: int = 0
    size_bytes: int = 0
    opened_at: float = 0.0
    dirty: bool = False

    @property
    def key(self) -> str:
        """The Idempotency-Key that it is sent under."""
        return self.path.name.removesuffix(SUFFIX)

    def append(self, line: bytes) -> None:
        """Hand one line to the operating system, whole or not at all.

        Raises:
            UnavailableError: the disk did not take it; the sample was not accepted.
        """
        try:
            _write_all(self.descriptor, line + b"\n")
        except OSError as exc:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size_bytes)  # no half line under the next one
            raise UnavailableError(f"the spool {self.path.parent} did not take the sample: {exc.strerror}") from exc
        self.lines += 1
        self.size_bytes += len(line) + 1
        self.dirty = True

    def sync(self) -> None:
        """Make what was appended survive a loss of power."""
        if self.dirty:
            self.dirty = False
            os.fsync(self.descriptor)

    def read(self) -> bytes:
        """The whole lines of the segment; a torn last one was never accepted."""
        data = self.path.read_bytes()
        return data[: data.rfind(b"\n") + 1]

    def close(self) -> None:
        """Let go of the segment, so that it may be sent; harmless when that was done before."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            try:
                if self.dirty:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def delete(self) -> None:
        """Remove the segment: the service has it, or its lines lie elsewhere."""
        self.dirty = False
        self.path.unlink(missing_ok=True)
        self.close()


@dataclass(frozen=True)
class Spool:
    """The folder of segments."""

    folder: Path

    def create(self) -> Segment:
        """A new segment, locked.

        Raises:
            UnavailableError: the folder cannot be written.
        """
        # Names ascend with time, so samples are sent in the order in which they were logged.
        return self._write(f"{time.time_ns():020d}-{secrets.token_hex(8)}", b"")

    def split(self, segment: Segment, parts: Iterable[bytes]) -> None:
        """Replace a segment by smaller ones. Their keys follow from it: cut again after a crash, they are the same."""
        for number, part in enumerate(parts):
            if part:
                digest = hashlib.sha256(f"{segment.key} {number} ".encode() + part).hexdigest()
                self._write(f"{segment.key[:KEY_CHARACTERS]}-{digest[:32]}", part).close()
        segment.delete()

    def take_waiting(self) -> Iterator[Segment]:
        """The segments that nobody holds, oldest first, each locked."""
        for path in self._list():
            segment = self._take(path)
            if segment is not None:
                yield segment

    def count_waiting(self) -> int:
        """How many samples wait that nobody is writing or sending in this moment."""
        total = 0
        for segment in self.take_waiting():
            total += segment.read().count(b"\n")
            segment.close()
        return total

    def reject(self, key: str, line: bytes, reason: dict[str, Any]) -> Path:
        """Put a refused sample aside with the reason."""
        folder = self.folder / REJECTED
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{key}{SUFFIX}"
        try:
            said = orjson.loads(line)
        except orjson.JSONDecodeError:
            said = line.decode("utf-8", "replace")
        with path.open("ab") as file:
            file.write(orjson.dumps({"reason": reason, "sample": said}) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return path

    def _list(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if path.name.endswith(SUFFIX) and path.name[0] != ".")
        except FileNotFoundError:
            return []

    def _write(self, key: str, data: bytes) -> Segment:
        hidden = self.folder / f".{key}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            hidden.unlink(missing_ok=True)  # left by a crash, before it had its name
            descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if data:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            path = hidden.rename(self.folder / f"{key}{SUFFIX}")
        except OSError as exc:
            raise UnavailableError(f"the spool {self.folder} cannot be written: {exc.strerror}") from exc
        return Segment(path, descriptor, data.count(b"\n"), len(data), time.monotonic())

    def _take(self, path: Path) -> Segment | None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink == 0:  # sent and removed by another process just before
            os.close(descriptor)
            return None
        return Segment(path, descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
