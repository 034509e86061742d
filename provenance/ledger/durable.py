"""Files that are there whole after a crash, or not at all: written beside, fsynced, then named."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from provenance.errors import ConflictError


def write_new(path: Path, data: bytes) -> None:
    """Create a file, mode 0600, whole or not at all; an existing one is never overwritten (link fails)."""
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    except FileExistsError as exc:
        raise ConflictError(f"{path} exists; keys are never overwritten") from exc
    finally:
        temporary.unlink()
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file, mode 0600, whole or not at all."""
    _write_temporary(path, data).replace(path)
    sync_folder(path.parent)


def _write_temporary(path: Path, data: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return Path(name)


def sync_folder(folder: Path) -> None:
    """Make a new name durable: without it a crash may lose the file that was fsynced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
