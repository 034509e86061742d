"""Bring the files of a release onto this machine, each whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance.client.check import Manifest
from provenance.errors import DigestMismatchError

if TYPE_CHECKING:
    from provenance.client.client import Client


def fetch_files(client: Client, where: str, manifest: Manifest, folder: Path) -> None:
    """Download what `folder` does not have yet; whether a file is what it should be is checked when it is read.

    Raises:
        DigestMismatchError: a file is longer than the manifest says.
    """
    for item in manifest.value["files"]:
        fetch_file(client, f"{where}/{item['path']}", item, folder)


def fetch_file(client: Client, url: str, item: Mapping[str, Any], folder: Path) -> None:
    """Download one file that a list names, unless it is there; checked when it is read, as `fetch_files` has it."""
    target = folder / item["path"]
    if target.exists() and digest_file(target) == item["digest"]:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with client.download(url) as chunks:
        _write(target, _limit(chunks, item), item["path"])


def digest_file(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes, which may be more than fit into memory."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _limit(chunks: Iterator[bytes], item: Mapping[str, Any]) -> Iterator[bytes]:
    left = item["size_bytes"]
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise DigestMismatchError(f"{item['path']} is longer than the {item['size_bytes']:,} bytes of the manifest")
        yield chunk


def _write(target: Path, chunks: Iterator[bytes], name: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{Path(name).name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
