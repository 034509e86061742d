"""Sets of log indices as runs of neighbours: `[[5, 5], [7, 9]]` is 5, 7, 8, 9. Values in, values out.

Runs ascend, both ends count, and no two of them touch, so a set has one spelling and its digest one value.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import MalformedError


@dataclass(frozen=True)
class IndexSet:
    """A set of indices; `runs` are first and last index of each run."""

    runs: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.runs)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.runs:
            yield from range(first, last + 1)

    def __contains__(self, index: int) -> bool:
        place = bisect_right(self.runs, (index, 1 << 63)) - 1
        return place >= 0 and index <= self.runs[place][1]

    def within(self, first: int, last: int) -> list[int]:
        """Its indices from `first` to `last`, both counted."""
        start = max(0, bisect_right(self.runs, (first, 1 << 63)) - 1)
        found: list[int] = []
        for low, high in self.runs[start:]:
            if low > last:
                break
            found.extend(range(max(low, first), min(high, last) + 1))
        return found

    @property
    def digest(self) -> str:
        """Digest of the canonical list of all indices in order, as a release's `index_set_digest`."""
        return sha256_digest(canonical_bytes(list(self)))


def fold_indices(indices: Iterable[int]) -> IndexSet:
    """The set of `indices`, which may come in any order and twice."""
    runs: list[tuple[int, int]] = []
    for index in sorted(set(indices)):
        if runs and runs[-1][1] == index - 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return IndexSet(tuple(runs))


def parse_runs(value: Sequence[Sequence[int]]) -> IndexSet:
    """The set that a list of pairs spells.

    Raises:
        MalformedError: it is not the one spelling of a set.
    """
    before = -2
    for pair in value:
        if len(pair) != 2 or any(type(end) is not int for end in pair) or not before + 1 < pair[0] <= pair[1]:
            raise MalformedError(f"runs of indices: {pair!r} is out of order, touches the one before, or is no pair")
        before = pair[1]
    return IndexSet(tuple((first, last) for first, last in value))
