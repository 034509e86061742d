"""Bring the files of a release onto this machine, each whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance.canonical import sha256_digest
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
        target = folder / item["path"]
        if target.exists() and sha256_digest(target.read_bytes()) == item["digest"]:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with client.download(f"{where}/{item['path']}") as chunks:
            _write(target, _limit(chunks, item), item["path"])


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
