from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from provenance.terms.archive.fold import REASONS, explain, is_stub, plain, words_of

WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9)
SENTENCES = st.lists(WORDS, min_size=3, max_size=12)
TEXTS = st.lists(SENTENCES, min_size=2, max_size=8)
NOISE = st.sampled_from(
    ("double", "lines", "bold", "italic", "link", "bullet", "heading", "break", "invisible", "capitals")
)


def _write(sentences: list[list[str]]) -> str:
    return "\n\n".join(" ".join(words) + "." for words in sentences)


def _add_noise(sentences: list[list[str]], kind: str, at: int) -> str:
    lines = [" ".join(words) + "." for words in sentences]
    words = list(sentences[at])
    match kind:
        case "double":
            lines[at] = "  ".join(words) + ".  "
        case "lines":
            return "\n\n\n".join(lines) + "\n"
        case "bold":
            lines[at] = " ".join([f"**{words[0]}**", *words[1:]]) + "."
        case "italic":
            lines[at] = " ".join([*words[:-1], f"_{words[-1]}_"]) + "."
        case "link":
            lines[at] = " ".join([f"[{words[0]}](https://example.org/en-GB/terms?utm_source=a)", *words[1:]]) + "."
        case "bullet":
            lines[at] = "*   " + lines[at]
        case "heading":
            lines[at] = "## " + lines[at]
        case "break":
            lines[at] = "<br>".join(words) + "."
        case "invisible":
            lines[at] = "\u2060".join((lines[at], "\u200b"))
        case "capitals":
            lines[at] = lines[at].capitalize()
    return "\n\n".join(lines)


@given(TEXTS, NOISE, st.data())
def test_noise_never_makes_a_version(sentences: list[list[str]], kind: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sentences) - 1))
    assert explain(_write(sentences), _add_noise(sentences, kind, at)) in REASONS


@given(TEXTS, NOISE, WORDS, st.data())
def test_a_changed_word_is_never_folded_whatever_noise_comes_with_it(
    sentences: list[list[str]], kind: str, word: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(sentences) - 1))
    place = data.draw(st.integers(0, len(sentences[at]) - 1))
    assume(sentences[at][place] != word)
    changed = [list(words) for words in sentences]
    changed[at][place] = word
    assert explain(_write(sentences), _add_noise(changed, kind, at)) is None


@given(TEXTS, st.data())
def test_a_word_that_is_gone_is_never_folded(sentences: list[list[str]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sentences) - 1))
    changed = [list(words) for words in sentences]
    del changed[at][data.draw(st.integers(0, len(changed[at]) - 1))]
    assert explain(_write(sentences), _write(changed)) is None


@given(st.text(), st.text())
def test_whatever_the_texts_an_answer_comes_and_words_decide(old: str, new: str) -> None:
    reason = explain(old, new)
    if reason is None:
        assert old != new
    elif reason != "identical":
        assert words_of(old) == words_of(new)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("a  b", "a b", "whitespace"),
        ("see [terms](https://a.example/en/x?openaicom-did=1)", "see [terms](https://a.example/de/x?openaicom-did=2)", "links"),
        ("see https://a.example/en-GB/terms?x=1 for more", "see https://a.example/de-DE/terms/ for more", "links"),
        ("![Logo](/a.png) Twilio", "Twilio", "links"),
        ("*   **You** may not", "You may not", "layout"),
        ("Updated: 22 days ago\nWe own", "Updated: 23 days ago\nWe own", "page"),
        ("last accessed 2026-01-01\nWe own", "last accessed 2026-02-01\nWe own", "page"),
        ("Home > Legal > Terms\nWe own", "Start > Terms\nWe own", "page"),
        ("Effective 8 July 2026[Previous Version](a)", "Effective July 8, 2026[Previous Version](b)", "page"),
        ("More information Opens in new tab", "More information", "page"),
        ("Output, and Input", "output and input", "punctuation"),
    ],
)  # fmt: skip
def test_each_kind_of_noise_has_its_name(old: str, new: str, reason: str) -> None:
    assert explain(old, new) == reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Effective 8 July 2026", "Effective 9 July 2026"),
        ("You may use Output", "You may not use Output"),
        ("within 30 days", "within 60 days"),
        ("[our models](https://a.example)", "[your models](https://a.example)"),
        ("| Twilio | US |", "| Twilio | FR |"),
        ("Input / Output", "Input / Outputs"),
    ],
)
def test_words_that_look_like_noise_are_words(old: str, new: str) -> None:
    assert explain(old, new) is None


def test_an_error_page_is_no_terms_and_a_short_document_is_a_document() -> None:
    long = "you may not use output " * 100
    assert is_stub("Redirecting to legal.example.org", long)
    assert is_stub("403", None)
    assert not is_stub("These terms say what you may do with the answers of this service.", None)
    assert not is_stub("you may not use output " * 40, long)


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "[a](" * 5_000, "](" * 20_000, "> " * 20_000, "a > " * 20_000, "*_" * 20_000]
)
def test_a_text_of_nothing_but_marks_takes_no_age(text: str) -> None:
    assert re.fullmatch(r"[^\x00]*", plain(text))
