"""The texts of a terms archive in the order in which they were fetched, one in memory at a time.

An archive in Open Terms Archive form holds `SERVICE/DOCUMENT.md`; each commit says when its texts were fetched (author
date) and, in its subject, whether the provider's page or only the archive's own extraction changed. The first parents
are followed: what the archive itself showed, one state after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provenance.errors import FieldError, MalformedError
from provenance.terms.archive.git import Repository, open_repository

MAX_TEXT_BYTES = 4 << 20
MAX_NAME_CHARACTERS = 200
_FORM = "%x01%H%x02%aI%x02%s"
_FILE_MODES = frozenset(("100644", "100755", "000000"))
# The archive's engine writes the first, older ones the others: https://docs.opentermsarchive.org
_UPGRADE = re.compile(
    r"apply technical (?:or declaration )?upgrade|technical upgrade|^refilter\b|re-?extract", re.IGNORECASE
)
_NULL = re.compile(r"0+")


@dataclass(frozen=True)
class Fetched:
    """One text as it was fetched. `text` is None where the document was taken out of the archive."""

    commit: str
    fetched_at: str
    subject: str
    service: str
    document: str
    text: bytes | None

    @property
    def is_upgrade(self) -> bool:
        """Whether the archive says that only its own extraction changed."""
        return _UPGRADE.search(self.subject) is not None


@dataclass(frozen=True)
class Commit:
    """One commit: when, what it says, and the files that it changed as (mode, blob, path)."""

    id: str
    at: str
    subject: str
    files: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class History:
    """An opened archive: its commits, the oldest first, and a way to read their texts."""

    repository: Repository
    commits: tuple[Commit, ...]

    @property
    def first(self) -> str:
        """The id of the oldest commit, which stays as the archive grows."""
        return self.commits[0].id

    def iterate(self) -> Iterator[Fetched]:
        """The texts, in order.

        Raises:
            MalformedError: one is no text of the form, or too large.
        """
        with _open_blobs(self.repository) as blobs:
            for commit in self.commits:
                for mode, blob, path in commit.files:
                    service, document = _split(path)
                    if service is None or document is None:
                        continue
                    _check_file(mode, path, commit)
                    text = None if _NULL.fullmatch(blob) else blobs.read(blob, path, commit)
                    yield Fetched(commit.id, commit.at, commit.subject, service, document, text)

    @property
    def other_files(self) -> int:
        """How many changes were to files that are no documents (README, licence)."""
        return sum(_split(path)[0] is None for commit in self.commits for _, _, path in commit.files)


@contextmanager
def open_history(path: Path) -> Iterator[History]:
    """The archive at `path`: a git bundle, a bare repository or a checkout.

    Raises:
        MalformedError: no git history, no documents of the form in it, or one that git refuses.
    """
    with open_repository(path) as repository:
        commits = tuple(_read_commits(repository))
        if not any(_split(name)[0] for commit in commits for _, _, name in commit.files):
            raise MalformedError(
                f"{path} is a git history without a SERVICE/DOCUMENT.md",
                FieldError("path", str(path), "a history in Open Terms Archive form"),
            )
        yield History(repository, commits)


def _read_commits(repository: Repository) -> Iterator[Commit]:
    process = repository.start(
        "log", "--first-parent", "--diff-merges=first-parent", "--reverse", "--raw", "--no-renames", "--no-abbrev",
        "--root", "-z", f"--format={_FORM}", repository.head, "--",
    )  # fmt: skip
    output, _ = process.communicate()
    if process.returncode != 0:
        raise MalformedError(f"git cannot list the history of {repository.head}")
    tokens = iter(output.split(b"\0"))
    header: tuple[str, str, str] | None = None
    files: list[tuple[str, str, str]] = []
    for token in tokens:
        if token.lstrip(b"\n").startswith(b"\x01"):
            if header is not None:
                yield Commit(*header, tuple(files))
            header, files = _parse_header(token.lstrip(b"\n")), []
        elif token.lstrip(b"\n").startswith(b":"):
            _, mode, _, blob, _ = token.decode().lstrip("\n:").split(" ")
            files.append((mode, blob, _parse_name(next(tokens), header)))
    if header is not None:
        yield Commit(*header, tuple(files))


def _parse_header(token: bytes) -> tuple[str, str, str]:
    commit, at, subject = token[1:].decode(errors="replace").split("\x02", 2)
    try:
        moment = datetime.fromisoformat(at).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise MalformedError(
            f"commit {commit}: the day is not readable", FieldError("author date", at, "a day of the calendar")
        ) from exc
    return commit, moment.strftime("%Y-%m-%dT%H:%M:%SZ"), subject


def _parse_name(raw: bytes, header: tuple[str, str, str] | None) -> str:
    commit = header[0] if header else "?"
    expected = f"UTF-8 without control characters, at most {MAX_NAME_CHARACTERS} characters"
    try:
        name = raw.decode()
    except UnicodeDecodeError as exc:
        raise MalformedError(
            f"commit {commit}: a file's name is not UTF-8", FieldError("name", repr(raw), expected)
        ) from exc
    parts = name.split("/")
    if not name.isprintable() or len(name) > MAX_NAME_CHARACTERS or {"", ".", ".."} & set(parts):
        raise MalformedError(f"commit {commit}: a file's name is refused", FieldError("name", name, expected))
    return name


def _split(path: str) -> tuple[str, str] | tuple[None, None]:
    parts = path.split("/")
    if len(parts) != 2 or not parts[1].endswith(".md") or parts[0].startswith("."):
        return None, None
    return parts[0], parts[1].removesuffix(".md")


def _check_file(mode: str, path: str, commit: Commit) -> None:
    if mode not in _FILE_MODES:
        found = {"120000": "a symbolic link", "160000": "another repository"}.get(mode, f"mode {mode}")
        raise MalformedError(f"commit {commit.id}: {path} is {found}", FieldError(path, found, "a plain file"))


class _Blobs:
    """Reads blobs from one `git cat-file --batch`."""

    def __init__(self, repository: Repository) -> None:
        self._process = repository.start("cat-file", "--batch")
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("git was started without pipes")
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def read(self, blob: str, path: str, commit: Commit) -> bytes:
        """The bytes of a blob, which are UTF-8 text of a bounded size."""
        self._requests.write(f"{blob}\n".encode())
        self._requests.flush()
        header = self._answers.readline().split()
        if len(header) != 3 or header[1] != b"blob":
            raise MalformedError(f"commit {commit.id}: {path} is missing from the archive")
        size = int(header[2])
        if size > MAX_TEXT_BYTES:
            expected = f"at most {MAX_TEXT_BYTES:,} bytes"
            raise MalformedError(
                f"commit {commit.id}: {path} is too large", FieldError(path, f"{size:,} bytes", expected)
            )
        text = self._answers.read(size + 1)[:-1]
        _check_text(text, path, commit)
        return text

    def close(self) -> None:
        """End git."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def _open_blobs(repository: Repository) -> Iterator[_Blobs]:
    blobs = _Blobs(repository)
    try:
        yield blobs
    finally:
        blobs.close()


def _check_text(text: bytes, path: str, commit: Commit) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as exc:
        raise MalformedError(
            f"commit {commit.id}: {path} is not UTF-8 (byte {exc.start})", FieldError(path, exc.reason, "UTF-8 text")
        ) from exc
    if b"\0" in text:
        raise MalformedError(f"commit {commit.id}: {path} holds null characters", FieldError(path, "\\0", "text"))
