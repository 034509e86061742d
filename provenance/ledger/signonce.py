"""The sign-once register: a log that signed one root for a size never signs another.

The database can be restored from a stale backup and would then grow another tree under sizes that were signed before.
The register lies beside the keys, not in the database, and refuses that: it holds the last size and root that was
signed. It is a file of lines `<size> <root, hex>\\n`, appended and fsynced; the last whole line counts.

- A torn last line (crash while writing) was never answered for, so it is dropped.
- The file is rewritten to its last line once it is long; the rewrite is atomic.
- Keep it out of the backups of the database: restoring both together takes the protection away.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from provenance.errors import LedgerForkError, UnavailableError
from provenance.ledger.durable import sync_folder
from provenance.ledger.merkle import HASH_BYTES

MAX_FILE_BYTES = 1 << 20
_LINE_BYTES = 20 + 1 + 2 * HASH_BYTES + 1


class SignOnce:
    """The register in the file `path`; safe between threads and processes (the file is locked)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def permit(self, size: int, root: bytes) -> None:
        """Check, then record, in one step; call it before a checkpoint is signed.

        Raises:
            LedgerForkError: another root was signed for this size, or a greater tree was; nothing was recorded.
            UnavailableError: the register cannot be written, so nothing may be signed.
        """
        with self._locked() as file:
            if self._check(file, size, root):
                self._append(file, size, root)

    def check(self, size: int, root: bytes) -> None:
        """Refuse what `permit` would refuse, without recording.

        Raises:
            LedgerForkError: another root was signed for this size, or a greater tree was.
        """
        with self._locked() as file:
            self._check(file, size, root)

    def record(self, size: int, root: bytes) -> None:
        """Record what was signed under a `check`, after its commit.

        A smaller size than the last is passed over: another process that took the lock later was quicker to record.

        Raises:
            LedgerForkError: another root was signed for this size.
            UnavailableError: the register cannot be written.
        """
        with self._locked() as file:
            last = self._last(file)
            if (last is None or size >= last[0]) and self._check(file, size, root):
                self._append(file, size, root)

    def last(self) -> tuple[int, bytes] | None:
        """The size and root that were signed last, or None."""
        with self._locked() as file:
            return self._last(file)

    def _check(self, file: BinaryIO, size: int, root: bytes) -> bool:
        """Whether this is new and allowed; False where the very same was signed before."""
        last = self._last(file)
        if last is None or size > last[0]:
            return True
        if size < last[0]:
            raise LedgerForkError(
                f"a tree of {last[0]} entries was signed before, this one has {size}: the database is older than the "
                f"register {self.path} (a restored backup?). Restore a newer one; nothing was signed."
            )
        if root != last[1]:
            raise LedgerForkError(
                f"for {size} entries root {last[1].hex()} was signed before, this tree has {root.hex()}: "
                f"signing it would fork the log. The register is {self.path}; nothing was signed."
            )
        return False

    def _last(self, file: BinaryIO) -> tuple[int, bytes] | None:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 2 * _LINE_BYTES))
        whole = file.read().rpartition(b"\n")[0]  # what follows the last newline is torn
        if not whole:
            return None
        size, _, root = whole.rpartition(b"\n")[2].partition(b" ")
        try:
            signed = int(size), bytes.fromhex(root.decode())
        except ValueError as exc:
            raise LedgerForkError(f"the register {self.path} is damaged; nothing was signed") from exc
        if len(signed[1]) != HASH_BYTES:
            raise LedgerForkError(f"the register {self.path} is damaged; nothing was signed")
        return signed

    def _append(self, file: BinaryIO, size: int, root: bytes) -> None:
        line = f"{size} {root.hex()}\n".encode()
        end = file.seek(0, os.SEEK_END)
        if end >= MAX_FILE_BYTES:
            self._compact(line)
            return
        file.seek(max(0, end - 2 * _LINE_BYTES))
        torn = len(file.read().rpartition(b"\n")[2])
        file.truncate(end - torn)
        file.seek(0, os.SEEK_END)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())

    def _compact(self, line: bytes) -> None:
        temporary = self.path.with_name(self.path.name + ".new")
        with _open_private(temporary, os.O_WRONLY | os.O_TRUNC, "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        sync_folder(self.path.parent)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        try:
            is_new = not self.path.exists()
            # A lock file of its own: the register itself is replaced when it is compacted.
            with _open_private(self.path.with_name(self.path.name + ".lock"), os.O_WRONLY, "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with _open_private(self.path, os.O_RDWR | os.O_APPEND, "a+b") as file:
                    if is_new:
                        sync_folder(self.path.parent)
                    yield file
        except OSError as exc:
            raise UnavailableError(f"the sign-once register {self.path} cannot be used: {exc.strerror}") from exc


def _open_private(path: Path, flags: int, mode: str) -> Any:
    """Open a file that nobody else may read, made when missing: it lies beside the keys."""
    return os.fdopen(os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600), mode)
