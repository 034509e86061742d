"""Sets of indices have one spelling, and answer like sets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import MalformedError
from provenance.store.ranges import fold_indices, parse_runs

indices = st.sets(st.integers(0, 60))


@given(indices)
def test_a_set_answers_as_python_s_own(given: set[int]) -> None:
    folded = fold_indices([*given, *given])
    assert list(folded) == sorted(given)
    assert len(folded) == len(given)
    assert {index for index in range(-2, 64) if index in folded} == given
    assert folded.digest == sha256_digest(canonical_bytes(sorted(given)))
    assert parse_runs([list(run) for run in folded.runs]) == folded


@given(indices, st.integers(-1, 61), st.integers(-1, 61))
def test_what_lies_within_is_what_lies_between(given: set[int], first: int, last: int) -> None:
    expected = [index for index in sorted(given) if first <= index <= last]
    assert fold_indices(given).within(first, last) == expected


@pytest.mark.parametrize(
    "runs", [[[1]], [[2, 1]], [[1, 2], [3, 4]], [[5, 6], [1, 2]], [[-1, 2]], [[1, 2.0]], [[True, 2]]]
)
def test_another_spelling_of_a_set_is_refused(runs: Any) -> None:
    with pytest.raises(MalformedError):
        parse_runs(runs)
