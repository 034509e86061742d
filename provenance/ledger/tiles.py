"""Tiles: the log's tree and entries as a finite set of static files.

- A tile of level L holds up to 256 hashes of tree level 8·L, side by side; a bundle holds the 256 entries of a tile of
  level 0. The last of a level may be partial (`.p/<width>`) and is never hashed into the level above.
- `TileHashes` answers the `read(level, index)` of `merkle` from tiles alone, so that any proof needs a few of them.

Source: c2sp.org/tlog-tiles.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from provenance.errors import FieldError, MalformedError
from provenance.ledger.merkle import HASH_BYTES, Hash, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9]\d?)/(?P<index>(?:x\d{3}/)*\d{3})(?:\.p/(?P<width>[1-9]\d{0,2}))?\Z", re.ASCII
)


@dataclass(frozen=True)
class Tile:
    """Names a tile, or with `level` None the bundle of entries under it; `width` below 256 is partial."""

    level: int | None
    index: int
    width: int = TILE_WIDTH


def format_tile_path(tile: Tile) -> str:
    """The path below the log's prefix, for example `tile/0/x001/x234/067.p/5`.

    Raises:
        MalformedError: level, index or width are outside of what a path can name.
    """
    if not (0 <= (tile.level or 0) <= MAX_LEVEL and tile.index >= 0 and 1 <= tile.width <= TILE_WIDTH):
        raise MalformedError(f"no such tile: {tile}")
    groups = [f"{tile.index % 1000:03}"]
    rest = tile.index // 1000
    while rest:
        groups.insert(0, f"x{rest % 1000:03}")
        rest //= 1000
    partial = f".p/{tile.width}" if tile.width < TILE_WIDTH else ""
    return f"tile/{'entries' if tile.level is None else tile.level}/{'/'.join(groups)}{partial}"


def parse_tile_path(path: str) -> Tile:
    """The tile that a path names; inverse of `format_tile_path`, and as strict.

    Raises:
        MalformedError: another form, also one that only another spelling would name (`x000/001`, `.p/0`, `.p/256`).
    """
    match = _PATH.match(path)
    if match is not None:
        level = None if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        width = int(match["width"] or TILE_WIDTH)
        tile = Tile(level, index, width)
        if (level or 0) <= MAX_LEVEL and width <= TILE_WIDTH and format_tile_path(tile) == path:
            return tile
    raise MalformedError("not a tile path", FieldError("path", path[:90], "tile/<L>/<N>[.p/<W>]"))


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes tile `index` of `level` holds in a tree of `size` leaves; 0 to 256.

    Source: c2sp.org/tlog-tiles, "Partial Tiles".
    """
    nodes = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, nodes - index * TILE_WIDTH))


def list_tiles(size: int, *, since: int = 0) -> Iterator[Tile]:
    """The tiles of a tree of `size` leaves that a tree of `since` leaves did not have, lowest level first.

    Bundles of entries stand where tiles of level 0 stand; they are not listed.
    """
    level = 0
    while size >> (TILE_HEIGHT * level):
        old, new = since >> (TILE_HEIGHT * level), size >> (TILE_HEIGHT * level)
        for index in range(old // TILE_WIDTH, (new + TILE_WIDTH - 1) // TILE_WIDTH):
            width = tile_width(level, index, size)
            if width > tile_width(level, index, since):
                yield Tile(level, index, width)
        level += 1


def format_tile(hashes: Sequence[Hash]) -> bytes:
    """The bytes of a tile.

    Raises:
        MalformedError: no hash, more than 256, or one that does not have 32 bytes.
    """
    if not 1 <= len(hashes) <= TILE_WIDTH or any(len(item) != HASH_BYTES for item in hashes):
        raise MalformedError(f"a tile holds 1 to {TILE_WIDTH} hashes of {HASH_BYTES} bytes, not {len(hashes)}")
    return b"".join(hashes)


def parse_tile(data: bytes, width: int) -> list[Hash]:
    """The hashes of a tile of `width`.

    Raises:
        MalformedError: it has another length.
    """
    if len(data) != width * HASH_BYTES:
        raise MalformedError(f"a tile of width {width} has {width * HASH_BYTES} bytes, not {len(data)}")
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def format_entry_bundle(entries: Sequence[bytes]) -> bytes:
    """The bytes of a bundle: each entry behind its length (16 bits, big-endian).

    Raises:
        MalformedError: no entry, more than 256, or one of 64 KiB or more.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise MalformedError(f"a bundle holds 1 to {TILE_WIDTH} entries, not {len(entries)}")
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise MalformedError(f"an entry of {len(entry)} bytes; at most {MAX_ENTRY_BYTES} fit")
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def parse_entry_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle of `width`.

    Raises:
        MalformedError: it holds fewer or more entries, or ends within one.
    """
    entries: list[bytes] = []
    position = 0
    while position < len(data) and len(entries) <= width:
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        entries.append(data[start:position])
    if position != len(data) or len(entries) != width:
        raise MalformedError(f"the bundle does not hold exactly {width} entries")
    return entries


LoadTile = Callable[[int, int, int], bytes]


class TileHashes:
    """Reads the complete subtrees of a tree of `size` leaves from its tiles.

    `load(level, index, width)` brings a tile's bytes; each is asked for once and kept, so one object serves many proofs
    against one size. The tiles are believed: whoever does not trust them checks the proofs against a checkpoint.
    """

    def __init__(self, size: int, load: LoadTile) -> None:
        self.size = size
        self._load = load
        self._tiles: dict[tuple[int, int], list[list[Hash]]] = {}

    def read(self, level: int, index: int) -> Hash:
        """The hash of the complete subtree at `(level, index)`.

        Raises:
            MalformedError: the tree does not cover it, or its tile has another length.
        """
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, position = divmod(index, TILE_WIDTH >> height)
        rows = self._rows(tile_level, tile_index)
        while len(rows) <= height:
            row = rows[-1]
            rows.append([node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)])
        if position >= len(rows[height]):
            raise MalformedError(f"a tree of {self.size} leaves has no complete subtree at level {level}, {index}")
        return rows[height][position]

    def _rows(self, level: int, index: int) -> list[list[Hash]]:
        """The tile's hashes, and what was folded from them: row h stands h tree levels above the tile."""
        if (level, index) not in self._tiles:
            width = tile_width(level, index, self.size)
            if width == 0:
                raise MalformedError(f"a tree of {self.size} leaves has no tile {index} at level {level}")
            self._tiles[level, index] = [parse_tile(self._load(level, index, width), width)]
        return self._tiles[level, index]
