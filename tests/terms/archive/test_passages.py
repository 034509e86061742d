from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.terms.archive.passages import Passage, find_passages, split_sentences
from provenance.terms.archive.topics import find_topics
from tests.archive_repository import CLAUSES


def _passages(old: str, new: str) -> list[Passage]:
    return list(find_passages(split_sentences(old), split_sentences(new)))


def test_a_changed_sentence_stands_beside_its_older_form() -> None:
    old = "\n".join(CLAUSES)
    new = old.replace("compete with us", "compete with us or our partners")
    [passage] = _passages(old, new)
    assert (passage.old, passage.new) == (CLAUSES[3], CLAUSES[3].replace("with us", "with us or our partners"))
    assert passage.topics == ["training-on-outputs", "competition"]


def test_a_bar_that_is_gone_or_new_is_shown() -> None:
    old, new = "\n".join(CLAUSES), "\n".join(CLAUSES[:3])
    assert [(item.old, item.new) for item in _passages(old, new)] == [(CLAUSES[3], None)]
    assert [(item.old, item.new) for item in _passages(new, old)] == [(None, CLAUSES[3])]


@given(st.permutations(CLAUSES), st.sampled_from(("\n", "\n\n* ", " ")))
def test_what_only_moved_or_is_cut_otherwise_did_not_change(clauses: list[str], between: str) -> None:
    assert _passages("\n".join(CLAUSES), between.join(clauses)) == []


def test_clauses_that_are_numbered_anew_did_not_change() -> None:
    old = "\n".join(f"{at}. {clause}" for at, clause in enumerate(CLAUSES, 1))
    new = "\n".join(f"A.{at}. {clause}" for at, clause in enumerate(CLAUSES, 3))
    assert _passages(old, new) == []


def test_what_was_cut_off_within_a_sentence_is_seen() -> None:
    old = "You may not use Output to develop models that compete with us, unless we agree in writing."
    new = "You may not use Output to develop models that compete with us."
    [passage] = _passages(old, new)
    assert (passage.old, passage.new) == (old, new)


def test_the_same_change_in_two_documents_has_one_name() -> None:
    first = Passage("You own Output.", "We own Output.", ("output-ownership",))
    assert first.id == Passage("You own **Output**.".replace("*", ""), "We own output", ()).id
    assert first.id != Passage("We own Output.", "You own Output.", ()).id


@pytest.mark.parametrize(
    ("sentence", "topics"),
    [
        ("Use Output to develop models that compete with OpenAI.", ("training-on-outputs", "competition")),
        ("You may use the outputs for training other models (such as distillation).", ("training-on-outputs", "model-copying")),
        ("We do not use Customer Content to train our models.", ("training-by-provider",)),
        ("As between you and us, you own all Output.", ("output-ownership",)),
        ("We hereby assign to you all our right, title, and interest, if any, in and to Output.", ("output-ownership",)),
        ("You may not reverse engineer, decompile or discover the source code.", ("model-copying",)),
        ("To build a competing product or service, including to train competing AI models.", ("competition",)),
        ("Output may not be unique and other users may receive similar output.", ()),
        ("We care about fair competition law.", ()),
        ("Use it for your own needs.", ()),
        ("You provide prompts or fine-tuning data and receive output.", ()),
    ],
)  # fmt: skip
def test_topics_ask_for_words_that_belong_together(sentence: str, topics: tuple[str, ...]) -> None:
    assert find_topics(sentence) == topics
