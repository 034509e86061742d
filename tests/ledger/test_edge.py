"""The tiles at the right edge: the same root and the same tiles as a tree built at once, however it grew."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.ledger.edge import TileEdge
from provenance.ledger.merkle import leaf_hash, tree_root
from tests.store.logs import rebuild_tiles

LEAVES = [leaf_hash(str(number).encode()) for number in range(600)]


def test_the_root_of_every_size_to_600_is_that_of_the_whole_tree() -> None:
    edge = TileEdge()
    assert edge.root() == tree_root([]) == hashlib.sha256(b"").digest()
    for size in range(1, 601):
        edge.extend(LEAVES[size - 1 : size])
        assert edge.size == size
        assert edge.root() == tree_root(LEAVES[:size]), size


@given(st.lists(st.integers(0, 600), max_size=12).map(sorted))
def test_however_it_is_split_into_appends_the_tiles_are_the_same(cuts: list[int]) -> None:
    edge, tiles = TileEdge(), {}
    for start, stop in pairwise([0, *cuts, 600]):
        changed = edge.extend(LEAVES[start:stop])
        tiles.update(changed)
        assert edge.root() == tree_root(LEAVES[:stop])
        assert tiles == rebuild_tiles(LEAVES[:stop])
        assert bool(changed) == (start != stop)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_536 + 256, 66_000])
def test_the_third_level_begins_where_it_should(size: int) -> None:
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]
    edge, tiles = TileEdge(), {}
    for start, stop in pairwise([0, 300, 65_400, size]):
        tiles.update(edge.extend(leaves[start:stop]))
    assert edge.root() == tree_root(leaves)
    assert tiles == rebuild_tiles(leaves)


def test_only_tiles_that_changed_are_named() -> None:
    edge = TileEdge()
    edge.extend(LEAVES[:300])
    assert set(edge.extend(LEAVES[300:301])) == {(0, 1)}
    assert set(edge.extend(LEAVES[301:512])) == {(0, 1), (1, 0)}
    assert edge.extend([]) == {}
