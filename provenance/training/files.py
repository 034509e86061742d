"""Model folders as lists of files with digests; the digest of such a list is the model's `weights_digest`.

- Only regular files count; paths are relative, with `/`, sorted by their bytes.
- The digest of the list is the digest of its canonical JSON, so it is the same on every machine.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import DigestMismatchError, MalformedError

_CHUNK_BYTES = 1 << 20
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def digest_file(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def list_files(folder: Path) -> list[dict[str, Any]]:
    """The files below `folder` as `{path, digest, size_bytes}`, sorted by path; a link is refused."""
    listed = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise MalformedError(f"{path} is a symbolic link; a model folder holds regular files only")
        if path.is_file():
            size = path.stat().st_size
            listed.append(
                {"path": path.relative_to(folder).as_posix(), "digest": digest_file(path), "size_bytes": size}
            )
    return sorted(listed, key=lambda item: item["path"].encode())


def digest_files(files: Sequence[dict[str, Any]]) -> str:
    """The one digest of a list of files: a model's `weights_digest`."""
    return sha256_digest(canonical_bytes(list(files)))


def check_files(folder: Path, files: Sequence[dict[str, Any]]) -> None:
    """Check that every listed file is there, unchanged.

    Raises:
        DigestMismatchError: a file is missing, longer, shorter or altered; the message names it.
    """
    for item in files:
        path = folder / item["path"]
        if not path.is_file():
            raise DigestMismatchError(f"{item['path']}: expected {item['digest']}, the file is missing")
        found = digest_file(path)
        if found != item["digest"]:
            raise DigestMismatchError(f"{item['path']}: expected {item['digest']}, got {found}")


def find_pickles(folder: Path) -> list[str]:
    """Files that hold (or could hold) pickled Python objects, which must never leave the sandbox."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in PICKLE_SUFFIXES)


def open_modes(folder: Path) -> None:
    """Make files readable by others (0644); `save_pretrained` writes weights with mode 0600."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)


def write_atomically(path: Path, data: bytes) -> None:
    """Write by a temporary neighbour and a rename: a reader sees the old bytes or the new ones, never half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with beside.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
