"""Fetch a published model into a folder that others can check: each file has the digest that the log names, no other is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from provenance.client.fetch import digest_file, fetch_file
from provenance.errors import ConflictError, DigestMismatchError, FieldError, MalformedError

if TYPE_CHECKING:
    from provenance.client.client import Client

SIGNATURE = "model.sig"
MAX_SIGNATURE_BYTES = 1 << 24
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]*(/[A-Za-z0-9_][A-Za-z0-9._+@-]*)*", re.ASCII)


def fetch_publication(client: Client, publication: Mapping[str, Any], folder: Path) -> None:
    """Bring the files of a publication into `folder`; those that are there already are left alone.

    Raises:
        ConflictError: the folder holds other files, with which the signature would not hold.
        DigestMismatchError: a file is not what the statement names.
    """
    files = [*publication["files"], {**publication["signature"], "size_bytes": MAX_SIGNATURE_BYTES}]
    for item in files:
        if not _PATH.fullmatch(item["path"]) or ".." in item["path"]:
            raise MalformedError(f"a file cannot be named {item['path']!r}", FieldError("path", item["path"], "a/b.c"))
    check_folder(folder, {item["path"] for item in files})
    where = f"/api/v1/models/{quote(publication['model'])}/publications/{publication['id']}"
    for item in files:
        fetch_file(client, f"{where}/{item['path']}", item, folder)
        if (found := digest_file(folder / item["path"])) != item["digest"]:
            raise DigestMismatchError(f"{item['path']}: expected {item['digest']}, got {found}")


def check_target(folder: Path) -> None:
    """Refuse, before anything is published, a folder that cannot take a model: it holds files and no model that was published.

    Raises:
        ConflictError: it is one.
    """
    if folder.exists() and not (folder / SIGNATURE).is_file():
        check_folder(folder, frozenset())


def check_folder(folder: Path, paths: set[str] | frozenset[str]) -> None:
    """Refuse a folder that holds anything but these files."""
    expected = "an empty folder, or one of this very publication"
    if folder.exists() and not folder.is_dir():
        raise ConflictError(f"{folder} is a file", FieldError("to", str(folder), expected))
    found = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    if odd := sorted({path.relative_to(folder).as_posix() for path in found} - paths):
        said = f"{folder} holds other files, such as {odd[0]}: expected {expected}"
        raise ConflictError(said, FieldError("to", str(folder), expected))
