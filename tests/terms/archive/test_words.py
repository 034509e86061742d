from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provenance.terms.archive.words import Span, mark_words

SENTENCES = st.none() | st.lists(st.sampled_from(("you", "may", "not", "train", "on", "Output")), min_size=1).map(
    " ".join
)


@given(SENTENCES, SENTENCES)
def test_what_is_not_new_makes_the_old_sentence_and_what_is_not_gone_the_new_one(
    old: str | None, new: str | None
) -> None:
    spans = mark_words(old, new)
    assert " ".join(item.text for item in spans if item.kind != "ins") == (old or "")
    assert " ".join(item.text for item in spans if item.kind != "del") == (new or "")


def test_one_changed_word_is_marked() -> None:
    assert mark_words("you may train", "you must train") == [
        Span("same", "you"), Span("del", "may"), Span("ins", "must"), Span("same", "train"),
    ]  # fmt: skip
