"""Check what lies beside the database: the sign-once register, and the published files of the log.

 7. Register: the root that was signed last is that of the tree at that size.
 8. Published files: the checkpoint verifies and is of this tree, the keys are the log's, every tile and entry bundle is
    what the database's tiles say, none that the checkpoint needs is missing, nothing else lies among them.

Findings are added to an `Audit` of the database, whose tiles are what is compared with. Nothing is changed; a service that
publishes meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlmodel import Session

from provenance.errors import ProvenanceError
from provenance.ledger.checkpoint import open_checkpoint
from provenance.ledger.findings import Audit
from provenance.ledger.merkle import HASH_BYTES, leaf_hash, range_hash, tree_root
from provenance.ledger.note import VerifierKey, format_vkey
from provenance.ledger.publish import CHECKPOINT, PUBLISHED_SIZE, VKEYS, lock_folder
from provenance.ledger.tiles import (
    TILE_WIDTH,
    Tile,
    TileHashes,
    format_tile_path,
    list_tiles,
    parse_entry_bundle,
    parse_tile_path,
    tile_width,
)
from provenance.store.log import find_tile, load_tile

TILES = "tile"


def audit_register(session: Session, audit: Audit, signed: tuple[int, bytes] | None) -> None:
    """Step 7; `signed` is what the register says. A register that is ahead is a finding of step 1."""
    if signed is not None and signed[0] < audit.size and _root_at(session, signed[0]) != signed[1]:
        said = f"the register says that a tree of {signed[0]} entries was signed with root {signed[1].hex()}; it has another"
        audit.add(7, None, said)


def audit_published(session: Session, audit: Audit, folder: Path, vkeys: Sequence[VerifierKey]) -> None:
    """Step 8, for `folder`; nothing was published where it has no checkpoint and no tiles.

    Args:
        session: the read session that `audit` was made in.
        audit: takes the findings.
        folder: what is published.
        vkeys: the log's verifier keys, those that were retired too.
    """
    if (folder / CHECKPOINT).exists() or (folder / TILES).exists():
        with lock_folder(folder):
            _Published(session, audit, folder).run(vkeys)


def _root_at(session: Session, size: int) -> bytes | None:
    """The root of the first `size` entries as the tiles say it; None where they do not say it."""
    if size == 0:
        return tree_root([])
    try:
        return range_hash(0, size, TileHashes(size, partial(load_tile, session)).read)
    except ProvenanceError:
        return None


class _Published:
    def __init__(self, session: Session, audit: Audit, folder: Path) -> None:
        self._session, self._audit, self._folder = session, audit, folder

    def run(self, vkeys: Sequence[VerifierKey]) -> None:
        size = max(self._check_checkpoint(vkeys), self._check_size())
        self._check_keys(vkeys)
        there = set()
        for path in sorted((self._folder / TILES).rglob("*")):
            if path.is_file() and not path.name.startswith("."):  # a file that has no name yet says nothing
                there.add(self._check_file(path))
        for tile in list_tiles(min(size, self._audit.size)):
            for level in (tile.level, None) if tile.level == 0 else (tile.level,):
                self._check_there(Tile(level, tile.index, tile.width), there)

    def _add(self, name: str, index: int | None, said: str, *, exact: bool = False) -> None:
        self._audit.add(8, index, f"{self._folder / name}: {said}", exact=exact)

    def _check_checkpoint(self, vkeys: Sequence[VerifierKey]) -> int:
        try:
            said = open_checkpoint((self._folder / CHECKPOINT).read_text(encoding="utf-8"), vkeys)
        except FileNotFoundError:
            return 0  # the first one is held back by witnesses
        except (ProvenanceError, UnicodeError) as exc:
            self._add(CHECKPOINT, None, f"does not verify: {exc}")
            return 0
        if said.size <= self._audit.size and _root_at(self._session, said.size) != said.root:
            self._add(CHECKPOINT, None, f"speaks of another tree of {said.size} entries than this database holds")
        return said.size

    def _check_size(self) -> int:
        path = self._folder / PUBLISHED_SIZE
        try:
            size = int(path.read_text(encoding="ascii")) if path.exists() else 0
        except ValueError:
            self._add(PUBLISHED_SIZE, None, "is no number; delete it, and all is published again")
            return 0
        if not 0 <= size <= self._audit.size:
            said = (
                f"says that {size} entries are published, of {self._audit.size}; delete it, and all is published again"
            )
            self._add(PUBLISHED_SIZE, None, said)
        return size

    def _check_keys(self, vkeys: Sequence[VerifierKey]) -> None:
        try:
            *lines, end = (self._folder / VKEYS).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeError) as exc:
            self._add(VKEYS, None, f"cannot be read: {exc}")
            return
        known = {format_vkey(key) for key in vkeys}
        if end or not lines or not set(lines) <= known:
            self._add(VKEYS, None, "holds what is no key of this log")

    def _check_file(self, path: Path) -> str:
        name = str(path.relative_to(self._folder))
        try:
            tile = parse_tile_path(name)
            hashes = self._read_hashes(tile, path.read_bytes())
        except ProvenanceError as exc:
            self._add(name, self._first_of(name), f"is damaged: {exc.detail}")
            return name
        stored = find_tile(self._session, tile.level or 0, tile.index) or b""
        for at in range(0, tile.width * HASH_BYTES, HASH_BYTES):
            if hashes[at : at + HASH_BYTES] != stored[at : at + HASH_BYTES]:
                span = TILE_WIDTH ** (tile.level or 0)
                index = (tile.index * TILE_WIDTH + at // HASH_BYTES) * span
                self._add(name, index, f"is not what the log says of entry {index}", exact=span == 1)
                break
        return name

    def _read_hashes(self, tile: Tile, data: bytes) -> bytes:
        if tile.level is None:
            return b"".join(leaf_hash(entry) for entry in parse_entry_bundle(data, tile.width))
        return data if len(data) == tile.width * HASH_BYTES else b""

    def _first_of(self, name: str) -> int | None:
        """The first entry that a damaged file is about; None for one that is no tile."""
        try:
            tile = parse_tile_path(name)
        except ProvenanceError:
            return None
        return int(tile.index * TILE_WIDTH ** (1 + (tile.level or 0)))

    def _check_there(self, tile: Tile, there: set[str]) -> None:
        level = tile.level or 0
        # A partial tile may have been replaced by the full one, or by a later partial one that begins with it.
        widest = tile_width(level, tile.index, self._audit.size)
        names = (format_tile_path(Tile(tile.level, tile.index, width)) for width in range(tile.width, widest + 1))
        if not there.intersection(names):
            name = format_tile_path(tile)
            self._add(name, self._first_of(name), "is missing, and the published checkpoint needs it")
