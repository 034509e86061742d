from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import DigestMismatchError, NotFoundError
from provenance.ledger.multiproof import HEADER, format_ranges, make_ranges
from provenance.release.indices import CHANGES, merge_runs, read_runs, tally

SETS = st.sets(st.integers(0, 60))


def runs_of(indices: set[int]) -> list[tuple[int, int]]:
    return [(item.start, item.stop - 1) for item in make_ranges(indices)]


def write_proof(folder: Path, indices: set[int]) -> tuple[Path, str]:
    path = folder / "log-proof.txt"
    path.write_text(f"{HEADER}\nindices {format_ranges(make_ranges(indices))}\nAAAA\n\nrest\n")
    return path, sha256_digest(canonical_bytes(sorted(indices)))


@given(SETS, SETS)
def test_two_sets_are_told_apart_as_sets_are(before: set[int], after: set[int]) -> None:
    seen: dict[str, set[int]] = {change: set() for change in CHANGES}
    last = -1
    for change, first, end in merge_runs(runs_of(before), runs_of(after)):
        assert last < first <= end
        last = end
        seen[change] |= set(range(first, end + 1))
    assert seen == {"added": after - before, "removed": before - after, "same": before & after}


@given(SETS, SETS, st.sets(st.sampled_from(CHANGES)), st.integers(1, 7))
def test_pages_hold_each_wanted_sample_once_and_every_page_counts_all(
    before: set[int], after: set[int], wanted: set[str], limit: int
) -> None:
    rows, place, more = [], -1, True
    while more:
        found = tally(merge_runs(runs_of(before), runs_of(after)), wanted, place, limit)  # type: ignore[arg-type]  # hypothesis gives texts
        assert found.counts == {
            "added": len(after - before), "removed": len(before - after), "same": len(before & after),
        }  # fmt: skip
        assert len(found.rows) <= limit
        rows += found.rows
        more = found.more
        if more:
            place = found.rows[-1][0]
    sides = {"added": after - before, "removed": before - after, "same": before & after}
    assert rows == sorted((index, change) for change in wanted for index in sides[change])


def test_a_last_page_that_is_just_full_says_that_nothing_follows() -> None:
    assert tally([("added", 1, 2), ("same", 3, 9)], ["added"], -1, 2).more is False
    assert tally([("added", 1, 2), ("added", 9, 9)], ["added"], -1, 2).more is True


@given(st.sets(st.integers(0, 20_000), min_size=1, max_size=40))
def test_a_proof_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, indices: set[int]) -> None:
    path, digest = write_proof(tmp_path_factory.mktemp("proof"), indices)
    assert list(read_runs(path, digest)) == runs_of(indices)


def test_a_proof_of_other_entries_is_not_believed(tmp_path: Path) -> None:
    path, digest = write_proof(tmp_path, {1, 2, 5})
    path.write_text(path.read_text().replace("1-2", "1-3"))
    with pytest.raises(DigestMismatchError, match="log-proof"):
        list(read_runs(path, digest))
    for junk in ("", "indices", "\nindices \n"):
        path.write_text(junk)
        with pytest.raises(DigestMismatchError):
            list(read_runs(path, digest))
    path.unlink()
    with pytest.raises(NotFoundError):
        list(read_runs(path, digest))


def test_two_hundred_thousand_scattered_entries_are_compared_in_a_few_megabytes(tmp_path: Path) -> None:
    scattered = {2 * number for number in range(200_000)}
    path, digest = write_proof(tmp_path, scattered)
    tracemalloc.start()
    found = tally(merge_runs(read_runs(path, digest), [(0, 399_999)]), ["added"], 100, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.counts == {"added": 200_000, "removed": 0, "same": 200_000}
    assert [index for index, _ in found.rows] == [101, 103, 105, 107, 109]
    assert peak < 3 * path.stat().st_size + 2_000_000  # the line, and nothing for each entry
