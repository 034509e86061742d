"""Take erased samples out of release folders: the data goes, manifest, card and attestation stay, a tombstone says why.

A release is signed as a whole, so one that loses a sample is no longer what was signed: all of its data goes, and what may
still be released is released again under the next version.

The tombstone is written before the first file is removed, so a removal that was cut short is known and goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from provenance.canonical import canonical_bytes, parse_json
from provenance.errors import DigestMismatchError
from provenance.ledger.durable import sync_folder
from provenance.ledger.publish import write_file
from provenance.release.manifest import TOMBSTONE, parse_manifest
from provenance.store.ranges import IndexSet


def list_folders(releases: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The finished release folders with their manifests."""
    for path in sorted(releases.glob("*/*/manifest.json")):
        if not path.parent.name.startswith("."):
            yield path.parent, parse_manifest(path.read_bytes())


def count_held(folder: Path, indices: IndexSet) -> int:
    """How many of `indices` lie in the shards of a release folder.

    Raises:
        DigestMismatchError: a shard cannot be read, so nobody knows what it holds.
    """
    held = 0
    for shard in sorted((folder / "data").glob("*.parquet")):
        try:
            column = pq.ParquetFile(shard, pre_buffer=False).read(columns=["entry_index"], use_threads=False).column(0)
        except (pa.ArrowException, OSError) as exc:
            raise DigestMismatchError(f"{shard} is damaged; remove it, it may hold erased text: {exc}") from exc
        held += sum(index in indices for index in column.to_pylist())
    return held


def list_holding(releases: Path, indices: IndexSet, datasets: set[str]) -> list[dict[str, Any]]:
    """The releases of `datasets` that hold any of `indices`: id, name, version, how many samples."""
    return [
        _describe(manifest, samples)
        for folder, manifest in list_folders(releases)
        if manifest["dataset"] in datasets and (samples := count_held(folder, indices))
    ]


def withdraw_data(releases: Path, indices: IndexSet, erasure: Mapping[str, str]) -> list[dict[str, Any]]:
    """Remove the data of every release that holds any of `indices`.

    Args:
        releases: the folder of all releases.
        indices: the erased samples.
        erasure: `id` and `at` of the erasure, for the tombstone.
    Returns:
        The releases that lost their data to this erasure, now or in a try before: id, name, version, samples.
    """
    gone = []
    for folder, manifest in list_folders(releases):
        tombstone = read_tombstone(folder)
        if tombstone is None and (samples := count_held(folder, indices)):
            tombstone = {"erasure": erasure["id"], "at": erasure["at"], "samples": samples, "files": manifest["files"]}
            write_file(folder / TOMBSTONE, canonical_bytes(tombstone))
        if tombstone is not None and tombstone["erasure"] == erasure["id"]:
            if (folder / "data").exists():
                shutil.rmtree(folder / "data")
            sync_folder(folder)
            gone.append(_describe(manifest, tombstone["samples"]))
    return gone


def remove_partial(releases: Path, name: str, version: int) -> None:
    """Remove what a build that will not go on has left."""
    shutil.rmtree(releases / name / f".{version}.partial", ignore_errors=True)


def read_tombstone(folder: Path) -> dict[str, Any] | None:
    """What took the data of a release away, or None."""
    path = folder / TOMBSTONE
    return dict(parse_json(path.read_bytes())) if path.is_file() else None


def _describe(manifest: Mapping[str, Any], samples: int) -> dict[str, Any]:
    return {**{name: manifest[name] for name in ("id", "name", "version")}, "samples": samples}
