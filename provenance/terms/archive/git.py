"""Git, run on what a stranger made: nothing of theirs is executed, configured, fetched or checked out.

- Whatever is given (bundle, bare repository, checkout) ends as one pack in an empty repository of ours, where git has
  hashed every object anew (`index-pack --strict`). Configuration, hooks, replacements, grafts and commit graphs of the
  given repository are never read: of it we take the name of one commit and its object files.
- Sizes and times are bounded, so that a small file cannot fill memory or disk.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provenance.errors import FieldError, MalformedError, NotFoundError, UnavailableError

MAX_PACK_BYTES = 2 << 30
MAX_MEMORY_BYTES = 4 << 30
MAX_HEADER_BYTES = 1 << 20
TIMEOUT_SECONDS = 600.0
BRANCHES = ("HEAD", "refs/heads/main", "refs/heads/master")
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SIGNATURES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
# Windows are small, as is what is held whole; an index that lies about the pack beside it is not looked at.
_OPTIONS = (
    "core.bigFileThreshold=8m", "core.deltaBaseCacheLimit=32m", "core.packedGitWindowSize=16m",
    "core.packedGitLimit=256m", "core.commitGraph=false", "core.multiPackIndex=false", "core.hooksPath=/dev/null",
    "protocol.allow=never", "pack.threads=1", "gc.auto=0",
)  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """A checked copy of a history: a bare repository of ours, and the commit at its end."""

    folder: Path
    head: str

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start git on the copy, with pipes on both sides."""
        return _start(self.folder, *arguments)


@contextmanager
def open_repository(path: Path) -> Iterator[Repository]:
    """A checked copy of the history in a bundle, a bare repository or a checkout; it goes with the block.

    Raises:
        NotFoundError: there is nothing at `path`.
        MalformedError: it is none of the three, is incomplete or damaged, or git refuses an object in it.
        UnavailableError: git is not installed.
    """
    if not path.exists():
        raise NotFoundError(f"there is no file or folder {path}")
    if shutil.which("git") is None:
        raise UnavailableError("reading a terms archive needs git, which is not installed")
    with tempfile.TemporaryDirectory(prefix="provenance-archive-") as name:
        folder = Path(name) / "copy.git"
        head = _copy_folder(path, folder) if path.is_dir() else _copy_bundle(path, folder)
        yield Repository(folder, head)


def _copy_bundle(path: Path, folder: Path) -> str:
    try:
        with path.open("rb") as file:
            head = _choose(_read_header(file, path), path)
            _create(folder, head)
            _index(folder, file, path)
    except OSError as exc:
        raise _bad(path, f"{path} cannot be read: {exc.strerror}") from exc
    _check_commit(folder, head, path)
    return head


def _read_header(file: IO[bytes], path: Path) -> dict[str, str]:
    # gitformat-bundle: signature, capabilities (@), prerequisites (-), references, an empty line, the pack.
    if file.readline(64) not in _SIGNATURES:
        raise _bad(path, f"{path} is no git bundle")
    references: dict[str, str] = {}
    read = 0
    while True:
        line = file.readline(4096)
        read += len(line)
        if line == b"\n":
            return references
        if not line.endswith(b"\n") or read > MAX_HEADER_BYTES:
            raise _bad(path, f"{path} is a damaged git bundle: its list of references does not end")
        if line.startswith(b"-"):
            raise _bad(path, f"{path} is a part of a history: it builds on commits that it does not hold")
        if line.startswith(b"@"):
            if not line.startswith(b"@object-format="):
                raise _bad(path, f"{path} asks for {line.decode(errors='replace').strip()}, which is not understood")
            continue
        commit, _, name = line.decode(errors="replace").rstrip("\n").partition(" ")
        if not _ID.fullmatch(commit) or not name:
            raise _bad(path, f"{path} is a damaged git bundle: a reference has no commit")
        references[name] = commit


def _choose(references: dict[str, str], path: Path) -> str:
    for name in BRANCHES:
        if name in references:
            return references[name]
    if len(set(references.values())) == 1:
        return next(iter(references.values()))
    raise _bad(path, f"{path} has {len(references)} references; expected one of {', '.join(BRANCHES)}, or only one")


def _copy_folder(path: Path, folder: Path) -> str:
    root = path / ".git" if (path / ".git").is_dir() else path
    objects = root / "objects"
    if not objects.is_dir() or not (root / "HEAD").is_file():
        raise _bad(path, f"{path} is no git repository")
    if (root / "shallow").exists():
        raise _bad(path, f"{path} is a shallow clone: it lacks the start of its history")
    head = _read_reference(root, "HEAD", path)
    _create(folder, head)
    listing = folder.parent / "pack"
    with listing.open("wb") as out:
        packing = _start(
            folder, "pack-objects", "--revs", "--stdout", "-q", "--no-use-bitmap-index", objects=objects, out=out
        )
        _finish(packing, path, f"{head}\n".encode())
    with listing.open("rb") as file:
        _index(folder, file, path)
    _check_commit(folder, head, path)
    return head


def _read_reference(root: Path, name: str, path: Path, depth: int = 0) -> str:
    if depth > 5 or not re.fullmatch(r"HEAD|refs/[A-Za-z0-9._/-]+", name) or ".." in name:
        raise _bad(path, f"{path}: HEAD does not lead to a commit")
    file = root / name
    if file.is_file() and file.stat().st_size < MAX_HEADER_BYTES:
        text = file.read_text(errors="replace").strip()
        if text.startswith("ref: "):
            return _read_reference(root, text.removeprefix("ref: "), path, depth + 1)
        if _ID.fullmatch(text):
            return text
    packed = root / "packed-refs"
    if packed.is_file():
        with packed.open(errors="replace") as lines:
            for line in lines:
                commit, _, found = line.rstrip("\n").partition(" ")
                if found == name and _ID.fullmatch(commit):
                    return commit
    raise _bad(path, f"{path}: {name} does not lead to a commit; the repository is empty or damaged")


def _create(folder: Path, head: str) -> None:
    form = "sha256" if len(head) == 64 else "sha1"
    arguments = ["git", "init", "--quiet", "--bare", "--template=", f"--object-format={form}", str(folder)]
    subprocess.run(  # noqa: S603  # fixed words and our own folder
        arguments, check=True, capture_output=True, env=_environment(None), timeout=TIMEOUT_SECONDS
    )


def _index(folder: Path, pack: IO[bytes], path: Path) -> None:
    arguments = ("index-pack", "--stdin", "--strict", f"--max-input-size={MAX_PACK_BYTES}")
    # The file was read through a buffer: git must go on where we stopped, not where the buffer did.
    os.lseek(pack.fileno(), pack.tell(), os.SEEK_SET)
    _finish(_start(folder, *arguments, source=pack), path)


def _check_commit(folder: Path, head: str, path: Path) -> None:
    process = _start(folder, "rev-list", "--objects", "--quiet", f"{head}^{{commit}}")
    _finish(process, path)


def _start(
    folder: Path,
    *arguments: str,
    source: IO[bytes] | None = None,
    out: IO[bytes] | None = None,
    objects: Path | None = None,
) -> subprocess.Popen[bytes]:
    options = [part for option in _OPTIONS for part in ("-c", option)]
    process = subprocess.Popen(  # noqa: S603  # fixed words; an id that was matched
        ["git", *options, *arguments],  # noqa: S607  # the git of this machine, wherever it is
        stdin=source or subprocess.PIPE,
        stdout=out or subprocess.PIPE,
        stderr=subprocess.PIPE if source or out else subprocess.DEVNULL,
        cwd=folder,
        env=_environment(folder, objects),
    )
    _limit_memory(process.pid)
    return process


def _finish(process: subprocess.Popen[bytes], path: Path, given: bytes | None = None) -> None:
    try:
        _, errors = process.communicate(given, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        process.communicate()
        raise _bad(path, f"{path}: git did not finish within {TIMEOUT_SECONDS:.0f} seconds") from exc
    if process.returncode != 0:
        lines = (errors or b"").decode(errors="replace").strip().splitlines()
        reason = lines[0] if lines else "objects are missing or damaged"
        raise _bad(path, f"{path}: git refuses the history: {reason}")


def _environment(folder: Path | None, objects: Path | None = None) -> dict[str, str]:
    values = {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull, "LC_ALL": "C", "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
    }  # fmt: skip
    if folder is not None:
        values["GIT_DIR"] = str(folder)
    if objects is not None:
        values["GIT_OBJECT_DIRECTORY"] = str(objects.resolve())
    return values


def _limit_memory(pid: int) -> None:
    try:
        import resource

        limit = getattr(resource, "prlimit", None)  # Linux alone has it; elsewhere the sizes above must do
        if limit is not None:
            limit(pid, resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    except (ImportError, ProcessLookupError):  # git may be done already
        return


def _bad(path: Path, message: str) -> MalformedError:
    expected = "a whole git bundle, bare repository or checkout in Open Terms Archive form"
    return MalformedError(message, FieldError("path", str(path), expected))
