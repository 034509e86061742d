"""The right edge of the tree as tiles: all that an append needs to know of the log before it.

For each level the hashes of the last, unfinished tile; 256 leaves become one hash a level up. State is at most
255 hashes a level, four levels for 4 billion entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from provenance.ledger.merkle import tree_root
from provenance.ledger.tiles import TILE_WIDTH


@dataclass
class TileEdge:
    """Unfinished tiles, lowest level first, and the tree size they stand for."""

    size: int = 0
    levels: list[list[bytes]] = field(default_factory=list)
    _root: bytes | None = field(default=None, compare=False, repr=False)  # of this size; an append asks three times

    def load(self, size: int, levels: list[list[bytes]]) -> None:
        """Take up the edge of a tree that was stored."""
        self.size, self.levels, self._root = size, levels, None

    def extend(self, leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
        """Add leaf hashes; the answer holds every tile that changed: (level, number) -> its hashes, joined."""
        changed: dict[tuple[int, int], bytes] = {}
        self._add(0, self.size, leaves, changed)
        self.size += len(leaves)
        self._root = None
        return changed

    def _add(self, level: int, count: int, hashes: Sequence[bytes], changed: dict[tuple[int, int], bytes]) -> None:
        # `count` hashes stand at this level already, the last `count % TILE_WIDTH` of them in the unfinished tile.
        if level == len(self.levels):
            self.levels.append([])
        tile, number, finished = self.levels[level], count // TILE_WIDTH, []
        for value in hashes:
            tile.append(value)
            if len(tile) == TILE_WIDTH:
                changed[level, number] = b"".join(tile)
                finished.append(tree_root(tile))
                tile, number = [], number + 1
        self.levels[level] = tile
        if tile and hashes:
            changed[level, number] = b"".join(tile)
        if finished:
            self._add(level + 1, number - len(finished), finished, changed)

    def root(self) -> bytes:
        """The Merkle tree hash of the whole log (RFC 9162, section 2.1.1)."""
        if self._root is None:
            self._root = self._fold()
        return self._root

    def _fold(self) -> bytes:
        ragged: list[bytes] = []
        for hashes in self.levels:
            row = hashes + ragged
            ragged = [tree_root(row)] if row else []
        return ragged[0] if ragged else tree_root([])
