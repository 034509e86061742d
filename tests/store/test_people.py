from __future__ import annotations

import pytest

from provenance.store.people import same_person


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("dana", "dana", True),
        ("Dana", "dana", True),
        (" dana  lee ", "Dana Lee", True),
        ("dana", "dan", False),
        ("terminal-12-ab", "terminal-99-cd", True),
        ("Terminal-12-ab", "terminal-99-cd", True),
        ("terminal-12-ab", "dana", False),
        ("terminal", "terminal-12-ab", False),
    ],
)
def test_two_names_are_one_persons_as_far_as_names_can_tell(one: str, other: str, same: bool) -> None:
    assert same_person(one, other) is same
    assert same_person(other, one) is same
