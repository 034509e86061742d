"""Check the files that the log vouches for: those of releases and reports, as far as they lie in the data directory.

10. Files: each has the digest that its statement names. A folder that is not there says nothing (it may lie elsewhere), nor
    does one whose release was withdrawn: a tombstone stands in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from provenance.ledger.findings import Audit
from provenance.store.tables import StatementRow

RELEASES, REPORTS, MANIFEST = "releases", "reports", "manifest.json"
TOMBSTONE = "erased.json"


def audit_files(session: Session, audit: Audit, data_dir: Path) -> None:
    """Step 10; the finding names the entry of the release or report."""
    query = (
        select(StatementRow).where(col(StatementRow.kind).in_(("release", "report"))).order_by(col(StatementRow.index))
    )
    for row in session.exec(query).all():
        folder = _folder(data_dir, row.kind, row.predicate)
        if not folder.is_dir() or (folder / TOMBSTONE).exists():
            continue
        for name, digest in _named(row.predicate):
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                audit.add(10, row.index, f"{row.kind} {row.key} names {name!r}, which is outside its folder")
            elif not path.is_file():
                audit.add(10, row.index, f"{path} is missing; entry {row.index} names it")
            elif (found := _digest(path)) != digest:
                audit.add(10, row.index, f"{path} has the digest {found}; entry {row.index} says {digest}")


def _folder(data_dir: Path, kind: str, said: Mapping[str, Any]) -> Path:
    if kind == "report":
        return data_dir / REPORTS / str(said["id"])
    return data_dir / RELEASES / str(said["name"]) / str(said["version"])


def _named(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for file in said["files"]:
        yield file["path"], file["digest"]
    if said.get("manifest_digest"):
        yield MANIFEST, said["manifest_digest"]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
