"""Tile paths, bundles of entries, and proofs that need tiles only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import MalformedError
from provenance.ledger.merkle import MemoryTree, consistency_proof, inclusion_proof, leaf_hash
from provenance.ledger.tiles import (
    Tile,
    TileHashes,
    format_entry_bundle,
    format_tile,
    format_tile_path,
    list_tiles,
    parse_entry_bundle,
    parse_tile,
    parse_tile_path,
    tile_width,
)

SIZE = 70_000
LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(SIZE)]
TREE = MemoryTree(LEAVES)

tiles = st.builds(
    Tile,
    st.one_of(st.none(), st.integers(0, 63)),
    st.one_of(st.integers(0, 2000), st.integers(0, 2**60)),
    st.integers(1, 256),
)


def load(size: int, asked: list[Tile]) -> TileHashes:
    def load_tile(level: int, index: int, width: int) -> bytes:
        tile = Tile(level, index, width)
        assert tile in set(list_tiles(size)), "only tiles of this size may be asked for"
        asked.append(tile)
        return format_tile([TREE.read(8 * level, index * 256 + at) for at in range(width)])

    return TileHashes(size, load_tile)


@given(tiles)
def test_a_path_parses_back(tile: Tile) -> None:
    assert parse_tile_path(format_tile_path(tile)) == tile


def test_an_index_is_written_in_groups_of_three() -> None:
    assert format_tile_path(Tile(0, 1234067)) == "tile/0/x001/x234/067"
    assert format_tile_path(Tile(None, 255, 253)) == "tile/entries/255.p/253"


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/x000/001", "tile/00/001", "tile/64/001", "tile/0/1", "tile/0/001.p/0", "tile/0/001.p/256",
        "tile/0/001.p/08", "tile/0/001/002", "tile/0/x001", "/tile/0/001", "tile/0/001\n", "tile/0/../001", "tile/-1/001",
        "tile/0/٠٠١",
    ],
)  # fmt: skip
def test_another_spelling_of_a_path_is_refused(path: str) -> None:
    with pytest.raises(MalformedError):
        parse_tile_path(path)


@pytest.mark.parametrize("tile", [Tile(64, 0), Tile(0, -1), Tile(0, 0, 0), Tile(0, 0, 257), Tile(-1, 0)])
def test_a_tile_that_no_path_names_is_refused(tile: Tile) -> None:
    with pytest.raises(MalformedError):
        format_tile_path(tile)


def test_the_tiles_of_the_specification_s_example() -> None:
    counts = {level: [item.width for item in list_tiles(70_000) if item.level == level] for level in range(4)}
    assert counts[0] == [256] * 273 + [112]
    assert counts[1] == [256, 17]
    assert counts[2] == [1]
    assert counts[3] == []
    assert list(list_tiles(256)) == [Tile(0, 0, 256), Tile(1, 0, 1)]


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_growing_lists_just_the_tiles_that_changed(one: int, two: int) -> None:
    old, new = sorted((one, two))
    before, after = set(list_tiles(old)), set(list_tiles(new))
    assert set(list_tiles(new, since=old)) == after - before
    assert all(tile_width(item.level or 0, item.index, new) == item.width for item in after)


@given(st.integers(1, SIZE).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_proofs_from_tiles_are_proofs_from_memory(place: tuple[int, int]) -> None:
    size, index = place
    asked: list[Tile] = []
    hashes = load(size, asked)
    assert inclusion_proof(index, size, hashes.read) == inclusion_proof(index, size, TREE.read)
    assert consistency_proof(index, size, hashes.read) == consistency_proof(index, size, TREE.read)
    assert len(asked) == len(set(asked)), "each tile is read once"
    assert len(asked) <= 8


def test_a_tile_of_another_length_is_refused() -> None:
    hashes = TileHashes(300, lambda level, index, width: b"\x00" * 32 * (width - 1))
    with pytest.raises(MalformedError):
        hashes.read(0, 0)
    with pytest.raises(MalformedError):
        load(300, []).read(0, 300)
    with pytest.raises(MalformedError):
        load(300, []).read(3, 37)
    with pytest.raises(MalformedError):
        format_tile([b"short"])


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_of_entries_parses_back(entries: list[bytes]) -> None:
    assert parse_entry_bundle(format_entry_bundle(entries), len(entries)) == entries


@pytest.mark.parametrize(
    ("data", "width"),
    [(b"\x00\x01", 1), (b"\x00", 1), (b"\x00\x01ab", 1), (b"\x00\x01a", 2), (b"\x00\x01a" * 3, 2), (b"", 1)],
)
def test_a_bundle_that_is_cut_or_padded_is_refused(data: bytes, width: int) -> None:
    with pytest.raises(MalformedError):
        parse_entry_bundle(data, width)


@pytest.mark.parametrize("entries", [[], [b""] * 257, [b"x" * 65_536]])
def test_a_bundle_that_the_format_cannot_hold_is_refused(entries: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        format_entry_bundle(entries)


def test_the_hashes_of_a_tile_parse_back() -> None:
    assert parse_tile(format_tile(LEAVES[:7]), 7) == LEAVES[:7]
