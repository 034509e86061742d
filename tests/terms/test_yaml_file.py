from __future__ import annotations

import pytest

from provenance.errors import TermsDocumentError
from provenance.terms.yaml_file import parse_yaml


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &x 1\nb: 2\n", "anchor &x"),
        ("a: 1\nb: *x\n", "alias \\*x"),
        ("a: !!python/object:os.system x\n", "tag"),
        ("a: !!str 1\n", "tag"),
        ("a: 1\na: 2\n", "'a' stands twice"),
        ("a:\n  - b: 1\n    b: 2\n", "'b' stands twice"),
        ("? [a, b]\n: 1\n", "a key must be plain text"),
        ("", "empty"),
        ("a: [1\n", "not readable"),
        ("a: 1\n---\nb: 2\n", "not readable"),
        ("<<: {a: 1}\n", "a key must be plain text"),
        ("on: 1\n", "a key must be plain text"),
    ],
)
def test_yaml_tricks_are_refused_with_their_name(text: str, what: str) -> None:
    with pytest.raises(TermsDocumentError, match=what) as caught:
        parse_yaml(text, "some.yaml")
    assert "some.yaml" in str(caught.value)


def test_an_error_names_the_line() -> None:
    with pytest.raises(TermsDocumentError, match="line 3"):
        parse_yaml("a: 1\nb: 2\nb: 3\n", "some.yaml")


def test_dates_stay_the_text_that_stands_in_the_file() -> None:
    assert parse_yaml("day: 2026-03-01\n", "some.yaml") == {"day": "2026-03-01"}


def test_plain_values_are_read() -> None:
    assert parse_yaml("a: [1, two, true, null]\n", "some.yaml") == {"a": [1, "two", True, None]}


def test_nesting_that_is_too_deep_is_refused() -> None:
    with pytest.raises(TermsDocumentError):
        parse_yaml("[" * 5000, "some.yaml")
