"""Load a release, verified: nothing of it reaches the caller before every check has passed.

 1. Attestation: signed by a release key; it is about this manifest and these files.
 2. State: not blocked, withdrawn or recalled, made for this student, and approved where a second person must do so.
 3. Files: each has the digest and size of the manifest. What is parsed are the bytes that were hashed.
 4. Rows: the entries hash to the manifest's leaves root, and say what the columns say; prompt and completion open
    the commitments of their entry.
 5. Log: exactly these entries, neither more nor less, stand in the log at their indices, under its signed checkpoint.

A folder is checked alike; without a service its state cannot be asked, and the keys to trust must be handed in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from provenance.canonical import parse_json, sha256_digest
from provenance.client.approval import APPROVAL, check_approval
from provenance.client.check import Keys, Manifest, check_log_proof, check_manifest
from provenance.client.fetch import fetch_files
from provenance.client.loaders import ReleaseRows, check_format, to_trl
from provenance.client.rows import check_rows
from provenance.errors import (
    DeniedError,
    DigestMismatchError,
    FieldError,
    ManifestError,
    NotFoundError,
    UnavailableError,
)
from provenance.release.manifest import LOG_PROOF, TOMBSTONE

if TYPE_CHECKING:
    from datasets import Dataset

    from provenance.client.client import Client

MAX_SMALL_FILE_BYTES = 256 * 1024 * 1024
MANIFEST, ATTESTATION = "manifest.json", "attestation.json"
_SMALL_FILES = {MANIFEST: "manifest", ATTESTATION: "attestation", LOG_PROOF: "proof"}

_DESCRIPTIONS = {"README.md": "card", "croissant.json": "croissant", "NOTICE.md": "notice"}  # for readers; not signed


def load_release(
    release: str | Path,
    *,
    student: str | None = None,
    split: str = "train",
    keys: Keys | None = None,
    client: Client | None = None,
    cache_dir: str | Path | None = None,
    format: str = "datasets",  # noqa: A002  # what it is called where data sets are loaded
) -> Any:
    """A verified data set of a release, or an error that says what failed.

    Args:
        release: `name@version`, an id, or the folder of a release.
        student: name or id of the student that will learn from it; a release made for another is refused.
        split: `train` or `test`.
        keys: release keys that you trust, as `provenance keys list --json` prints them; the service's without it.
        client: the service to ask; the one of the environment without it.
        cache_dir: where downloaded files are kept; they are checked each time.
        format: `datasets`, a `datasets.Dataset`; `trl`, the same with only prompt and completion, as TRL's trainers take
            it; `torch`, a map-style data set for a `DataLoader`, which needs neither package (see `ReleaseRows`).
    Raises:
        SignatureError: the attestation is not by a release key, or the checkpoint not by a log key.
        DigestMismatchError: manifest, file, entry or words were altered.
        InclusionError: the entries are not exactly those that stand in the log.
        DeniedError: the release is blocked, withdrawn, recalled, not approved yet, or for another student.
        UnavailableError: the service does not answer, or `datasets` (for `torch`: pyarrow) is not installed.
        MalformedError: there is no such format, or `trl` cannot hold what the samples are.
    """
    check_format(format)
    datasets = _require("datasets") if format != "torch" else None
    found = _open(release, student, keys, client, Path(cache_dir) if cache_dir is not None else None)
    tables = _pick(found, split)
    if datasets is None:
        return ReleaseRows(tables)
    dataset = _make_dataset(datasets, found.manifest, tables)
    return to_trl(dataset) if format == "trl" else dataset


def verify_release(
    release: str | Path, *, student: str | None = None, keys: Keys | None = None, client: Client | None = None
) -> Mapping[str, Any]:
    """Check a release as `load_release` does, and answer with its manifest."""
    return _open(release, student, keys, client, None).manifest.value


def pull_release(client: Client, release: str, folder: Path, *, student: str | None = None) -> Mapping[str, Any]:
    """Fetch a release into `folder`, checked as `load_release` does; the answer is its manifest."""
    where = f"/api/v1/releases/{release}"
    found = _open(release, student, None, client, folder, exact=True)
    for name, data in found.small_files.items():
        (folder / name).write_bytes(data)
    for name, page in _DESCRIPTIONS.items():
        try:
            (folder / name).write_bytes(client.get_bytes(f"{where}/{page}"))
        except NotFoundError:
            (folder / name).unlink(missing_ok=True)  # an older release has no such file, and another's would mislead
    return found.manifest.value


@dataclass(frozen=True)
class _Opened:
    """A release that was checked: its tables by path, and the bytes of its small files by name."""

    manifest: Manifest
    tables: Mapping[str, Any]
    small_files: Mapping[str, bytes]


def _open(
    release: str | Path,
    student: str | None,
    keys: Keys | None,
    client: Client | None,
    cache: Path | None,
    *,
    exact: bool = False,
) -> _Opened:
    parquet = _require("pyarrow.parquet")
    folder = Path(release)
    local = folder.is_dir() and not exact
    if client is None and not (local and keys is not None and not os.environ.get("PROVENANCE_URL")):
        from provenance.client.client import Client

        client = Client()
    ask_entry = keys is None
    if keys is None and client is not None:
        keys = client.get("/api/v1/keys")
    if local:
        _refuse_erased(folder)
        small = {name: _read_small(folder / name) for name in _SMALL_FILES}
        reference = None
    elif client is None:
        raise NotFoundError(f"there is no folder {folder}, and no service to ask for a release of this name")
    else:
        where = f"/api/v1/releases/{release}"
        small = {name: client.get_bytes(f"{where}/{page}") for name, page in _SMALL_FILES.items()}
        reference = str(release)
    keys = keys or ()
    manifest, known = check_manifest(
        small[MANIFEST], small[ATTESTATION], keys, client, student, reference=reference, ask_entry=ask_entry
    )
    approval = _read_small(folder / APPROVAL) if local and (folder / APPROVAL).is_file() else None
    check_approval(manifest, known, approval, keys)
    if client is not None and known is not None and (known.get("approval") or {}).get("entry") is not None:
        small[APPROVAL] = client.get_bytes(f"/api/v1/releases/{manifest.value['id']}/approval")
    if client is not None and not local:
        base = cache if cache is not None else platformdirs.user_cache_path("provenance") / "releases"
        folder = base if exact else base / manifest.digest.removeprefix("sha256:")
        fetch_files(client, f"/api/v1/releases/{release}", manifest, folder)
    tables = {item["path"]: _read_table(parquet, folder, item) for item in manifest.value["files"]}
    leaves = check_rows(manifest.value, tables)
    check_log_proof(small[LOG_PROOF].decode(errors="replace"), leaves, keys)
    return _Opened(manifest, tables, small)


def _require(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as exc:
        raise UnavailableError(
            f"loading a release needs the package {exc.name}: pip install 'provenance-ledger[train]' (or [server])"
        ) from exc


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_SMALL_FILE_BYTES:
            raise ManifestError(f"{path} is larger than {MAX_SMALL_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as exc:
        raise NotFoundError(f"{path} cannot be read: {exc.strerror}") from exc


def _refuse_erased(folder: Path) -> None:
    if (folder / TOMBSTONE).is_file():
        said = parse_json(_read_small(folder / TOMBSTONE))
        raise DeniedError(
            f"{folder} contains erased samples ({said['samples']}, erasure {said['erasure']}): its data is gone since "
            f"{said['at']}; release what is left again",
            code="release-withdrawn",
        )


def _read_table(parquet: Any, folder: Path, item: Mapping[str, Any]) -> Any:
    # One thread: Arrow's own abort the process when it ends while they do, and hashing is the dear part anyway.
    return parquet.ParquetFile(_source(folder, item), pre_buffer=False).read(use_threads=False)


def _source(folder: Path, item: Mapping[str, Any]) -> Any:
    import pyarrow

    # One read for the digest and for the parser: a file that changes in between is not believed.
    data = (folder / item["path"]).read_bytes() if (folder / item["path"]).exists() else b""
    digest = sha256_digest(data)
    if digest != item["digest"] or len(data) != item["size_bytes"]:
        raise DigestMismatchError(
            f"{item['path']} was altered: it is {digest} ({len(data):,} bytes); "
            f"the manifest says {item['digest']} ({item['size_bytes']:,} bytes)"
        )
    return pyarrow.BufferReader(data)


def _pick(found: _Opened, split: str) -> list[Any]:
    tables = found.tables
    parts = [table for path, table in sorted(tables.items()) if path.startswith(f"data/{split}-")]
    if not parts:
        known = ", ".join(sorted({path.removeprefix("data/").split("-")[0] for path in tables})) or "none"
        raise NotFoundError(f"the release has no split {split!r}; it has {known}", FieldError("split", split, known))
    return parts


def _make_dataset(datasets: Any, manifest: Manifest, parts: list[Any]) -> Dataset:
    import pyarrow

    dataset: Dataset = datasets.Dataset(datasets.table.InMemoryTable(pyarrow.concat_tables(parts)))
    dataset.info.description = f"{manifest.value['name']}@{manifest.value['version']} {manifest.digest}"
    return dataset
