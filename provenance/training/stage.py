"""Bring a run's inputs to a shared folder, and its results back from there.

- Going out: release, models and code are copied, then checked where they lie now. What the run may trust is named by digest in
  `job.json`, whose own digest stands on the command line.
- Coming back: nothing is believed. Links are not followed, sizes are bounded, only safetensors and texts leave, and each file
  has the digest that the result names.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from provenance.canonical import canonical_bytes, parse_json
from provenance.errors import DigestMismatchError, MalformedError, SettingsError, UnavailableError
from provenance.training.files import check_files, digest_files, write_atomically
from provenance.training.local import RESULT
from provenance.training.sandbox import PACKAGE_ROOT, Level

MODEL: Final = "model"
TEXTS: Final = (".json", ".jinja", ".txt", ".md")
MAX_RESULT_BYTES: Final = 1_000_000
MAX_TEXT_BYTES: Final = 100_000_000
MAX_LINE_BYTES: Final = 64_000
_CHUNK_BYTES: Final = 1 << 20


def check_shared(folder: Path) -> None:
    """Refuse a shared folder that others could write: release and code are read from it.

    Raises:
        SettingsError: not an absolute path of a folder that is this user's alone.
    """
    expected = "the absolute path of a folder of this user's that nobody else may write"
    try:
        found = folder.stat()
    except OSError as exc:
        raise SettingsError(f"PROVENANCE_RAY_SHARED_DIR {folder}: {exc.strerror}; expected {expected}") from exc
    owned = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not (folder.is_absolute() and stat.S_ISDIR(found.st_mode) and owned):
        raise SettingsError(f"PROVENANCE_RAY_SHARED_DIR {folder}: expected {expected}")


def stage_folder(source: Path, target: Path, files: Sequence[dict[str, Any]]) -> None:
    """Copy a folder that holds `files`, and check the copy; what is there whole is not copied again."""
    with contextlib.suppress(DigestMismatchError):
        check_exactly(target, files)
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(source, beside)
        check_exactly(beside, files)
        shutil.rmtree(target, ignore_errors=True)
        beside.replace(target)
    except OSError as exc:
        raise UnavailableError(f"{target}: cannot be written: {exc.strerror or exc}") from exc
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_exactly(folder: Path, files: Sequence[dict[str, Any]]) -> None:
    """Check that a folder holds these files, unchanged, and no others: a file beside a model can change what is loaded.

    Raises:
        DigestMismatchError: a file is missing, altered or too many; the message names it.
    """
    check_files(folder, files)
    listed = {item["path"] for item in files}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in listed and not (path.is_dir() and not path.is_symlink()):
            raise DigestMismatchError(f"{name}: the file is not among those that were staged")


def pack_code() -> bytes:
    """This package's source as a ZIP, the same bytes for the same source."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((PACKAGE_ROOT / "provenance").rglob("*.py")):
            archive.writestr(zipfile.ZipInfo(path.relative_to(PACKAGE_ROOT).as_posix()), path.read_bytes())
    return data.getvalue()


class Mirror:
    """Copies the lines of an event log as they come, each once, also after a restart: lines that are here are passed over."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source, self._target, self._offset = source, target, 0
        self._passed_over = target.read_bytes().count(b"\n") if target.exists() else 0

    def copy(self) -> None:
        """Append what is new and whole; a line that is no event is replaced by one that says so."""
        while self._copy_some():
            pass

    def _copy_some(self) -> bool:
        try:
            with open_regular(self._source) as stream:
                stream.seek(self._offset)
                data = stream.read(_CHUNK_BYTES)
        except OSError:
            return False
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and len(data) == _CHUNK_BYTES:
            whole = data  # a line without end: it is passed over in pieces
        self._offset += len(whole)
        lines = whole.removesuffix(b"\n").split(b"\n") if whole else []
        skipped = min(self._passed_over, len(lines))
        self._passed_over -= skipped
        kept = b"".join(_event(line) + b"\n" for line in lines[skipped:])
        if kept:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            with self._target.open("ab") as stream:
                stream.write(kept)
        return len(data) == _CHUNK_BYTES


def _event(line: bytes) -> bytes:
    try:
        said = json.loads(line) if len(line) <= MAX_LINE_BYTES else None
        if isinstance(said, dict) and _is_event(said):
            return json.dumps(said, allow_nan=False).encode()
    except (ValueError, RecursionError):
        pass
    return b'{"event": "unreadable"}'


def _is_event(said: Mapping[str, Any]) -> bool:
    """Whether pages can show it: a step is numbers, a device a name."""
    if said.get("event") == "step":
        numbers = [value for name, value in said.items() if name not in {"event", "at"}]
        plain = all(value is None or type(value) in {int, float} for value in numbers)
        return plain and type(said.get("step")) is int and said.get("loss") is not None
    return isinstance(said.get("event"), str) and isinstance(said.get("device", ""), str)


class _Said(msgspec.Struct):
    """The types of what a result says, as statements and pages take it; further fields are passed over."""

    code: str | None = None
    detail: str | None = None
    device: str | None = None
    isolation: Level | None = None
    torch_version: str | None = None
    sample_ids_digest: str | None = None
    steps: int | None = None
    tokens: int | None = None
    parameters: int | None = None
    peak_memory_bytes: int | None = None
    wall_seconds: float | None = None
    consumed: dict[str, Any] | None = None
    flops: dict[str, Any] | None = None
    energy_kwh: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    limits: list[str] | None = None
    generations: list[dict[str, Any]] | None = None


def collect(run_id: str, remote: Path, output: Path) -> Mapping[str, Any] | None:
    """Fetch what a run came to; None where it left no result. The result is written last.

    Raises:
        MalformedError: the result is not one of this run, or names a file that may not leave.
        DigestMismatchError: a file is not what the result says.
    """
    try:
        with open_regular(remote / RESULT) as stream:
            data = stream.read(MAX_RESULT_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise MalformedError(f"{RESULT}: expected a regular file: {exc.strerror or exc}") from exc
    said = parse_json(data) if len(data) <= MAX_RESULT_BYTES else None
    if not isinstance(said, dict) or said.get("state") not in {"finished", "cancelled", "failed"}:
        raise MalformedError(f"{RESULT}: expected the result of {run_id}, at most {MAX_RESULT_BYTES} bytes")
    try:
        msgspec.convert(said, _Said)
    except msgspec.ValidationError as exc:
        raise MalformedError(f"{RESULT}: {exc}") from exc
    if said["state"] == "finished":
        if said.get("run_id") != run_id:
            raise MalformedError(f"{RESULT}: expected the result of {run_id}, got one of {said.get('run_id')!r}")
        _collect_model(said, remote / MODEL, output)
    write_atomically(output / RESULT, canonical_bytes(said))
    return said


def _collect_model(said: Mapping[str, Any], remote: Path, output: Path) -> None:
    files = _check_list(said.get("model_files"))
    if digest_files(files) != said.get("weights_digest"):
        raise DigestMismatchError(f"weights_digest: expected {digest_files(files)}, got {said.get('weights_digest')}")
    if remote.is_symlink():
        raise MalformedError(f"{MODEL}: expected a folder, got a link")
    beside = output / f".{MODEL}.partial"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for item in files:
        _fetch(remote / item["path"], beside / item["path"], item)
        if item["path"].endswith(".safetensors"):
            check_safetensors(beside / item["path"])
    shutil.rmtree(output / MODEL, ignore_errors=True)
    beside.replace(output / MODEL)


def _check_list(files: Any) -> Sequence[dict[str, Any]]:
    if not isinstance(files, list) or not files:
        raise MalformedError("model_files: expected a list of {path, digest, size_bytes}")
    for item in files:
        whole = isinstance(item, dict) and set(item) == {"path", "digest", "size_bytes"}
        path = str(item["path"]) if whole else ""
        plain = path == Path(path).name and "\0" not in path and not path.startswith(".")
        if not plain or not isinstance(item["size_bytes"], int) or not isinstance(item["digest"], str):
            raise MalformedError(
                f"model_files: expected {{path, digest, size_bytes}} of a plain file, got {item!r}"[:500]
            )
        weights = path.endswith(".safetensors")
        if not weights and not (path.endswith(TEXTS) and item["size_bytes"] <= MAX_TEXT_BYTES):
            raise MalformedError(f"model_files: {path}: only safetensors and texts may leave")
    return files


def _fetch(source: Path, target: Path, item: Mapping[str, Any]) -> None:
    """Copy one file and check what was copied, not what lies there a moment later."""
    digest, left = hashlib.sha256(), int(item["size_bytes"])
    try:
        with open_regular(source) as stream, target.open("xb") as copy:
            while left >= 0 and (chunk := stream.read(_CHUNK_BYTES)):
                left -= len(chunk)
                digest.update(chunk)
                copy.write(chunk)
    except OSError as exc:
        raise DigestMismatchError(f"{item['path']}: expected {item['digest']}: {exc.strerror}") from exc
    if left != 0 or f"sha256:{digest.hexdigest()}" != item["digest"]:
        raise DigestMismatchError(f"{item['path']}: expected {item['digest']}, got sha256:{digest.hexdigest()}")


def check_safetensors(path: Path) -> None:
    """Check that a file is safetensors and nothing besides: a header, then exactly the bytes that it speaks of.

    Raises:
        MalformedError: it is not.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        try:
            header = json.loads(stream.read(length)) if length <= min(size - 8, MAX_TEXT_BYTES) else {}
            spans = sorted(item["data_offsets"] for name, item in header.items() if name != "__metadata__")
            ends = [0, *(end for _, end in spans)]
            whole = [start for start, _ in spans] == ends[:-1] and 8 + length + ends[-1] == size
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            whole = False
    if not whole:
        raise MalformedError(f"{path.name}: expected safetensors: a header and the bytes that it names")


def open_regular(path: Path) -> Any:
    """Open a regular file for reading; a link, pipe or device is refused.

    Raises:
        OSError: it is none, or cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(file, "rb")
