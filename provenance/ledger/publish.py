"""Write the log as static files: tiles, entry bundles, keys, and the checkpoint last.

Only what is durable is published, and the checkpoint never names a tile that is not there yet, also after a loss of
power. A crash on the way leaves files that the next call writes again. Two that publish take turns, and the one that is
behind leaves what the other published.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlmodel import Session

from provenance.ledger.durable import sync_folder
from provenance.ledger.tiles import TILE_WIDTH, Tile, format_entry_bundle, format_tile_path, list_tiles
from provenance.store.log import get_head, iterate_entries, load_tile
from provenance.store.tables import LogHead

PUBLISHED_SIZE = ".published"
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
    _make_folder(folder)
    with (folder / f"{PUBLISHED_SIZE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _publish(session, head, folder, vkeys)


def _publish(session: Session, head: LogHead, folder: Path, vkeys: Sequence[str]) -> int:
    path = folder / PUBLISHED_SIZE
    published = int(path.read_text()) if path.exists() else 0
    if published >= head.size and (folder / "checkpoint").exists():
        return published
    for tile in list_tiles(head.size, since=published):
        _write_tile(folder, tile, load_tile(session, tile.level or 0, tile.index, tile.width))
    _publish_entries(session, folder, published, head.size)
    write_file(folder / "vkey", "".join(f"{vkey}\n" for vkey in vkeys).encode())
    write_file(folder / "checkpoint", head.checkpoint.encode())
    write_file(path, str(head.size).encode())
    return head.size


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
    """A thread that publishes soon after each commit; commits that come close together are published as one."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
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
            self._wake.wait(RETRY_SECONDS if self.failure else None)
            self._wake.clear()
            self._try()
            stopping = self._stop.wait(PAUSE_SECONDS)
        self._try()  # what was committed during the pause

    def _try(self) -> None:
        try:
            self._act()
            self.failure = None
        except Exception as exc:  # noqa: BLE001 - a full disk must not stop appends; /readyz shows it
            self.failure = exc
