"""Read a release for training: verify first, then open. Needs pyarrow, not torch.

- The manifest's digest stands in the plan, every file's digest in the manifest: an altered, missing or added shard is refused
  before one row is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from provenance.canonical import parse_json
from provenance.errors import DigestMismatchError, ManifestError
from provenance.training.files import check_files, digest_file

MANIFEST = "manifest.json"
COLUMNS = ("entry_index", "prompt", "completion", "teacher")


def verify_release(folder: Path, manifest_digest: str) -> Mapping[str, Any]:
    """Check a release folder against the digest of its manifest.

    Raises:
        DigestMismatchError: the manifest or a file is missing or altered, or a data file is not in the manifest.
        ManifestError: the manifest is not one.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DigestMismatchError(f"{MANIFEST}: expected {manifest_digest}, the file is missing")
    found = digest_file(path)
    if found != manifest_digest:
        raise DigestMismatchError(f"{MANIFEST}: expected {manifest_digest}, got {found}")
    manifest: Any = parse_json(path.read_bytes())
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, list) or not all(isinstance(item, dict) and _is_safe(item.get("path")) for item in files):
        raise ManifestError(f"{MANIFEST}: expected files, a list of {{path, digest}} inside the release")
    check_files(folder, files)
    listed = {item["path"] for item in files}
    for shard in sorted((folder / "data").glob("*")):
        if f"data/{shard.name}" not in listed:
            raise DigestMismatchError(f"data/{shard.name}: the file is not in the manifest")
    checked: Mapping[str, Any] = manifest
    return checked


def _is_safe(path: Any) -> bool:
    return isinstance(path, str) and not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def read_rows(folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of a split, in the order of the shards' names."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for shard in sorted((folder / "data").glob(f"{split}-*.parquet")):
        # ParquetFile, not read_table: a folder's name must never become a partition column.
        rows.extend(pq.ParquetFile(shard).read(columns=list(COLUMNS)).to_pylist())
    return rows
