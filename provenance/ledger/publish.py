"""Write the log as static files: tiles, entry bundles, keys, and the checkpoint last.

Only what is durable is published, and the checkpoint never names a tile that is not there yet, also after a loss of
power. A crash on the way leaves files that the next call writes again. Two that publish take turns, and the one that is
behind leaves what the other published. Tiles may be ahead of the checkpoint: witnesses may still be asked to cosign it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlmodel import Session

from provenance.errors import MalformedError
from provenance.ledger.checkpoint import parse_checkpoint
from provenance.ledger.durable import sync_folder
from provenance.ledger.note import parse_note
from provenance.ledger.tiles import TILE_WIDTH, Tile, format_entry_bundle, format_tile_path, list_tiles
from provenance.store.log import get_head, iterate_entries, load_tile

CHECKPOINT, VKEYS, PUBLISHED_SIZE = "checkpoint", "vkey", ".published"
PAUSE_SECONDS, RETRY_SECONDS = 0.5, 5.0


def publish(session: Session, folder: Path, vkeys: Sequence[str]) -> int:
    """Publish up to the head of `session`'s snapshot into `folder`; the answer is the tree size published.

    Args:
        session: a read session; its snapshot is what is published.
        folder: where the files go; made when missing.
        vkeys: the log's verifier keys, as text.
    Raises:
        NotFoundError: there is no log, or a tile of it is missing.
        OSError: the folder cannot be written; what was published before stands.
    """
    head = get_head(session)
    with lock_folder(folder):
        note = read_checkpoint(folder)
        published = -1 if note is None else parse_checkpoint(parse_note(note).text).size
        if published < head.size:
            _publish_tiles(session, folder, vkeys, head.size)
            write_file(folder / CHECKPOINT, head.checkpoint.encode())
        return max(published, head.size)


def publish_tiles(session: Session, folder: Path, vkeys: Sequence[str]) -> str:
    """Publish all but the checkpoint; the answer is the checkpoint to be published, as the log signed it.

    Raises:
        as `publish`.
    """
    head = get_head(session)
    with lock_folder(folder):
        if _read_size(folder) < head.size or not (folder / VKEYS).exists():
            _publish_tiles(session, folder, vkeys, head.size)
    return head.checkpoint


def read_checkpoint(folder: Path) -> str | None:
    """The note that is published; None before the first, and where the file is damaged: then it is written again."""
    try:
        note = (folder / CHECKPOINT).read_text(encoding="utf-8")
        parse_checkpoint(parse_note(note).text)
    except (FileNotFoundError, UnicodeError, MalformedError):
        return None
    return note


def export_log(session: Session, folder: Path, vkeys: Sequence[str], cosigned: str | None) -> int:
    """Publish into another folder: up to the head, or with the checkpoint that witnesses have let go.

    Raises:
        as `publish`.
    """
    if cosigned is None:
        return publish(session, folder, vkeys)
    publish_tiles(session, folder, vkeys)
    with lock_folder(folder):
        write_file(folder / CHECKPOINT, cosigned.encode())
    return parse_checkpoint(parse_note(cosigned).text).size


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep all others that publish into `folder` away; it is made when missing."""
    _make_folder(folder)
    with (folder / f"{PUBLISHED_SIZE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_size(folder: Path) -> int:
    path = folder / PUBLISHED_SIZE
    return int(path.read_text()) if path.exists() else 0


def _publish_tiles(session: Session, folder: Path, vkeys: Sequence[str], size: int) -> None:
    since = _read_size(folder)
    for tile in list_tiles(size, since=since):
        _write_tile(folder, tile, load_tile(session, tile.level or 0, tile.index, tile.width))
    _publish_entries(session, folder, since, size)
    write_file(folder / VKEYS, "".join(f"{vkey}\n" for vkey in vkeys).encode())
    write_file(folder / PUBLISHED_SIZE, str(max(since, size)).encode())


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or none, also after a loss of power."""
    _make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def _publish_entries(session: Session, folder: Path, published: int, size: int) -> None:
    bundle: list[bytes] = []
    for index, entry in iterate_entries(session, published // TILE_WIDTH * TILE_WIDTH, size):
        bundle.append(entry)
        if len(bundle) == TILE_WIDTH or index == size - 1:
            _write_tile(folder, Tile(None, index // TILE_WIDTH, len(bundle)), format_entry_bundle(bundle))
            bundle = []


def _write_tile(folder: Path, tile: Tile, data: bytes) -> None:
    path = folder / format_tile_path(tile)
    write_file(path, data)
    if tile.width == TILE_WIDTH:  # the partial ones say nothing more (C2SP tlog-tiles, "Partial Tiles")
        shutil.rmtree(path.with_name(f"{path.name}.p"), ignore_errors=True)


class Publisher:
    """A thread that publishes soon after each commit; commits that come close together are published as one.

    `act` says after how many seconds it wants to be called again without a commit, or None.
    """

    def __init__(self, act: Callable[[], float | None]) -> None:
        self._act = act
        self._again: float | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new."""
        self._wake.set()

    def close(self) -> None:
        """Publish what is left and end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(RETRY_SECONDS if self.failure else self._again)
            self._wake.clear()
            self._try()
            stopping = self._stop.wait(PAUSE_SECONDS)
        self._try()  # what was committed during the pause

    def _try(self) -> None:
        try:
            self._again = self._act()
            self.failure = None
        except Exception as exc:  # noqa: BLE001 - a full disk must not stop appends; /readyz shows it
            self.failure = exc
