"""Where a log is published beside its data directory: a folder, or a bucket of S3-style storage.

- A name is the path of `tiles`, or `checkpoint`, or `vkey`. What a reader sees of an object is all of it or none.
- The checkpoint alone changes: it is swapped only if it still is what was read, so that two that publish never take it back.
- Credentials come from the environment as AWS names them, and stand in no message: addresses that hold some are refused.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from provenance.errors import FieldError, SettingsError, UnavailableError
from provenance.ledger.publish import CHECKPOINT, VKEYS, lock_folder, write_file

FIELD = "PROVENANCE_PUBLISH_URL"
EXPECTED = "a path, file:///path or s3://bucket/prefix"
MAX_BYTES = 32 * 1024 * 1024  # more than the greatest bundle of entries; what is read back is somebody else's
IMMUTABLE, FRESH = "public, max-age=31536000, immutable", "no-cache"
ATTEMPTS, PATIENCE = 4, timedelta(seconds=20)


@dataclass(frozen=True)
class Found:
    """A checkpoint that stands there, and the mark by which it is swapped."""

    data: bytes
    mark: Any


class Target(Protocol):
    """What publication needs of a place."""

    def read(self, name: str) -> bytes | None:
        """The bytes under a name; None where there are none."""

    def write(self, name: str, data: bytes) -> None:
        """Write an object that never changes, or the keys."""

    def read_checkpoint(self) -> Found | None:
        """The checkpoint that is published."""

    def swap_checkpoint(self, data: bytes, found: Found | None) -> bool:
        """Publish a checkpoint in the place of `found`; False if it is no longer what stands there."""


def check_url(url: str) -> str:
    """The scheme of a target: `file` or `s3`.

    Raises:
        SettingsError: it is neither, or holds more than a place.
    """
    if "://" not in url:
        return "file"
    parts = urlsplit(url)
    hidden = f"{parts.scheme}://{parts.hostname or ''}/…"  # what else it holds may be a secret
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _refuse(hidden, "holds credentials or a query; credentials come from AWS_ variables")
    if parts.scheme == "s3" and parts.netloc:
        return "s3"
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return "file"
    raise _refuse(hidden, "is no place that the log can be published to")


def open_target(url: str) -> Target:
    """The place that a path or address names; nothing is written yet.

    Raises:
        SettingsError: it cannot be one, or needs a package that is not there.
    """
    if check_url(url) == "s3":
        return BucketTarget(url)
    return FolderTarget(Path(unquote(urlsplit(url).path) if "://" in url else url))


def _refuse(url: str, problem: str) -> SettingsError:
    return SettingsError(f"{FIELD} {url} {problem}; expected {EXPECTED}", FieldError(FIELD, url, EXPECTED))


class FolderTarget:
    """A folder: each file is fsynced, then named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """The bytes under a name."""
        try:
            with (self.folder / name).open("rb") as file:
                return file.read(MAX_BYTES)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a file; a full tile takes the place of its partial ones."""
        path = self.folder / name
        write_file(path, data)
        if name.startswith("tile/") and ".p/" not in name:
            shutil.rmtree(path.with_name(f"{path.name}.p"), ignore_errors=True)

    def read_checkpoint(self) -> Found | None:
        """The checkpoint that is published."""
        data = self.read(CHECKPOINT)
        return None if data is None else Found(data, None)

    def swap_checkpoint(self, data: bytes, found: Found | None) -> bool:
        """Publish a checkpoint in the place of `found`."""
        with lock_folder(self.folder):
            if self.read_checkpoint() != found:
                return False
            write_file(self.folder / CHECKPOINT, data)
            return True


class BucketTarget:
    """A bucket of S3-style storage; it must know conditional writes (`If-Match`), as AWS and its better likenesses do."""

    def __init__(self, url: str) -> None:
        try:
            from obstore.store import S3Store
        except ImportError as exc:
            expected = "pip install 'provenance-ledger[s3]'"
            raise SettingsError(
                f"{FIELD} {url} needs the extra s3: {expected}", FieldError(FIELD, url, expected)
            ) from exc
        self.url = url.rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        place: Any = {"endpoint": endpoint} if endpoint else {}
        retry: Any = {"max_retries": ATTEMPTS, "retry_timeout": PATIENCE}
        options: Any = {"allow_http": (endpoint or "").startswith("http://"), "timeout": "30s"}
        self._store = S3Store.from_url(self.url, retry_config=retry, client_options=options, **place)

    def read(self, name: str) -> bytes | None:
        """The bytes under a name."""
        found = self._get(name)
        return None if found is None else found.data

    def write(self, name: str, data: bytes) -> None:
        """Write an object."""
        self._put(name, data)

    def read_checkpoint(self) -> Found | None:
        """The checkpoint that is published."""
        return self._get(CHECKPOINT)

    def swap_checkpoint(self, data: bytes, found: Found | None) -> bool:
        """Publish a checkpoint in the place of `found`."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self._put(CHECKPOINT, data, mode="create" if found is None else {"e_tag": found.mark})
        except UnavailableError as exc:
            if isinstance(exc.__cause__, AlreadyExistsError | PreconditionError):
                return False
            raise
        return True

    def _get(self, name: str) -> Found | None:
        import obstore
        from obstore.exceptions import BaseError

        try:
            result = obstore.get(self._store, name)
            if result.meta["size"] > MAX_BYTES:
                raise UnavailableError(
                    f"{self.url}/{name} has {result.meta['size']} bytes; at most {MAX_BYTES} are ours"
                )
            return Found(bytes(result.bytes()), result.meta["e_tag"])
        except FileNotFoundError:
            return None
        except BaseError as exc:
            raise self._say("read", name, exc) from exc

    def _put(self, name: str, data: bytes, *, mode: Any = "overwrite") -> None:
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(
                self._store, name, data, attributes=describe(name), mode=mode, use_multipart=False
            )  # fmt: skip
        except BaseError as exc:
            raise self._say("written", name, exc) from exc

    def _say(self, done: str, name: str, exc: Exception) -> UnavailableError:
        return UnavailableError(
            f"{self.url}/{name} cannot be {done}: {type(exc).__name__}: {' '.join(str(exc).split())[:300]}"
        )


def describe(name: str) -> dict[Any, str]:
    """The HTTP headers that an object is served with (c2sp.org/tlog-tiles): as the service's own `/log` answers."""
    if name in {CHECKPOINT, VKEYS}:
        return {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": FRESH}
    return {"Content-Type": "application/octet-stream", "Cache-Control": IMMUTABLE}
