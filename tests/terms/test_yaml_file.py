from __future__ import annotations

from pathlib import Path

import pytest

from provenance.errors import TermsDocumentError
from provenance.terms.yaml_file import parse_yaml, read_yaml


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
        ("a: " + "9" * 6000 + "\n", "number"),
        ("a: [1, {b: 700_000}]\n", "line 1: number '700_000'"),
        ("a: 7:00:00\n", "number '7:00:00'"),
        ("a: 0x1F\n", "number '0x1F'"),
        ("a: 010\n", "number '010'"),
        ('a: "\\ud800"\n', "not readable"),
        ("a: x\0y\n", "not readable"),
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


def test_what_is_no_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "latin.yaml").write_bytes("a: é\n".encode("latin-1"))
    (tmp_path / "large.yaml").write_bytes(b"a: 1\n#" + b"x" * 4_200_000)
    for path in tmp_path.iterdir():
        with pytest.raises(TermsDocumentError, match=path.name):
            read_yaml(path)
