"""Segments come back as they went in, one item or all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.store.segment import ITEMS_PER_FRAME, empty_items, pack_segment, read_item, unpack_segment

items = st.lists(st.binary(max_size=40), max_size=3 * ITEMS_PER_FRAME)


@given(items)
def test_what_is_packed_comes_back(given: list[bytes]) -> None:
    segment = pack_segment(given)
    assert unpack_segment(segment) == given
    assert [read_item(segment, position) for position in range(len(given))] == given


@pytest.mark.parametrize("count", [0, 1, ITEMS_PER_FRAME - 1, ITEMS_PER_FRAME, ITEMS_PER_FRAME + 1])
def test_there_is_no_item_behind_the_last(count: int) -> None:
    with pytest.raises(IndexError):
        read_item(pack_segment([b"x"] * count), count)


def test_a_large_item_comes_back() -> None:
    given = [b"", bytes(5_000_000), b"\xff" * 70_000]
    assert unpack_segment(pack_segment(given)) == given


def test_equal_texts_take_little_room() -> None:
    assert len(pack_segment([b"the same words again and again"] * 1000)) < 3_000


def test_threads_do_not_disturb_each_other() -> None:
    segments = [[f"{thread}-{number}".encode() * 50 for number in range(200)] for thread in range(8)]
    packed = [pack_segment(given) for given in segments]

    def read(thread: int) -> bool:
        return all(unpack_segment(packed[thread]) == segments[thread] for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))


@given(items, st.data())
def test_emptied_items_are_gone_and_all_others_are_as_they_were(given: list[bytes], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, len(given)) if given else st.nothing()))
    left = [b"" if position in gone else item for position, item in enumerate(given)]
    assert unpack_segment(empty_items(pack_segment(given), gone)) == left


def test_frames_that_hold_nothing_of_it_keep_their_bytes() -> None:
    given = [f"item {number}".encode() for number in range(3 * ITEMS_PER_FRAME)]
    before, after = pack_segment(given), empty_items(pack_segment(given), [ITEMS_PER_FRAME + 1])
    frame = len(pack_segment(given[:ITEMS_PER_FRAME])) - 12
    assert after[4 + 24 : 4 + 24 + frame] == before[4 + 24 : 4 + 24 + frame]
    assert after[-frame // 2 :] == before[-frame // 2 :]
    assert after != before
