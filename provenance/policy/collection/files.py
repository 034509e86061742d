"""The files of an examined collection: written beside the log before its statement is appended, read back by its digests.

They are written whole or not at all, under a name made of their digests. A crash before the append leaves files that
nothing names, and doing it again finds them the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from provenance.canonical import sha256_digest
from provenance.errors import DigestMismatchError, NotFoundError
from provenance.ledger.durable import replace_file
from provenance.policy.collection.examine import COMPARISON_FILE, FACTS_FILE, Examined

FOLDER = "collections"


def write_files(examined: Examined, folder: Path) -> None:
    """Write the files of a collection into a folder of its own under `folder`."""
    target = folder / examined.id
    target.mkdir(mode=0o700, exist_ok=True)
    for name, data in examined.files.items():
        replace_file(target / name, data)


def read_files(folder: Path, predicate: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts and the comparison that a statement names.

    Raises:
        NotFoundError: they are not on this machine.
        DigestMismatchError: a file is not the one that was recorded.
    """
    digests = {item["path"]: item["digest"] for item in predicate["files"]}
    facts, comparison = (
        _read(folder / predicate["id"] / name, digests[name]) for name in (FACTS_FILE, COMPARISON_FILE)
    )
    return facts, comparison


@lru_cache(maxsize=4)  # a page is asked for again and again, and what a digest names does not change
def _read(path: Path, digest: str) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise NotFoundError(f"the file {path.name} of {path.parent.name} is not here: {exc.strerror}") from exc
    if sha256_digest(data) != digest:
        raise DigestMismatchError(f"{path.name} of {path.parent.name} is not the file that was recorded ({digest})")
    value: dict[str, Any] = orjson.loads(data)
    return value
