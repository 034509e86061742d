from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.policy.collection.judge import CollectionJudge, Teacher, list_days
from provenance.policy.pack import load_pack
from provenance.terms.catalogue import load_catalogue
from provenance.terms.resolve import resolve_terms

CATALOGUE = load_catalogue()
DAYS = st.dates(dt.date(2019, 1, 1), dt.date(2026, 11, 1))
TEACHERS = [("openai", "gpt-4"), ("openai", "chatgpt"), ("meta", "llama-2-70b-chat"), ("mistral", "mixtral-8x7b")]


def documents_on(teacher: Teacher, day: str) -> set[str]:
    said = {"provider": teacher.provider, "model": teacher.model, "route": "dataset"}
    return {document.id for document in resolve_terms({"teacher": said, "generated_at": day}, CATALOGUE).documents}


@settings(deadline=None)
@given(st.sampled_from(TEACHERS), DAYS, DAYS, DAYS)
def test_every_day_of_the_window_is_like_one_that_is_judged(
    named: tuple[str, str], one: dt.date, two: dt.date, between: dt.date
) -> None:
    first, last = sorted((one, two))
    day = min(max(between, first), last)
    teacher = Teacher("made up", *named, first_day=first)
    judged = list_days(teacher, last, CATALOGUE)
    standing = max(text for text in judged if text <= day.isoformat())
    assert documents_on(teacher, day.isoformat()) == documents_on(teacher, standing)


def test_a_window_without_an_end_or_turned_around_has_no_day() -> None:
    teacher = Teacher("OpenAI GPT-4", "openai", "gpt-4", dt.date(2023, 3, 14))
    assert list_days(teacher, None, CATALOGUE) == []
    assert list_days(teacher, dt.date(2022, 1, 1), CATALOGUE) == []
    assert list_days(teacher, dt.date(2023, 3, 14), CATALOGUE) == ["2023-03-14"]


@pytest.mark.parametrize(("last", "expected"), [("2023-07-17", {"review"}), ("2024-01-01", {"review", "deny"})])
def test_days_on_which_verdicts_differ_make_a_review_that_says_which(last: str, expected: set[str]) -> None:
    # Without a first day the window opens before the licence began, when nothing was on record.
    teacher = Teacher("Llama 2, some day", "meta", "llama-2-70b-chat", None)
    judge = CollectionJudge(CATALOGUE, load_pack())
    found = judge.judge_teacher(teacher, dt.date.fromisoformat(last), "MIT", "commercial")
    assert (found.verdict, set(found.by_verdict)) == ("review", expected)
    if "deny" in expected:
        assert min(found.by_verdict["deny"]) == "2023-07-18"


def test_what_is_alike_is_judged_once() -> None:
    judge = CollectionJudge(CATALOGUE, load_pack())
    asked = (dt.date(2024, 1, 1), "MIT", "research")
    first = judge.judge_teacher(Teacher("GPT-4", "openai", "gpt-4", dt.date(2023, 3, 14)), *asked)
    other = judge.judge_teacher(Teacher("gpt 4", "openai", "gpt-4", dt.date(2023, 3, 14)), *asked)
    assert first.reasons is other.reasons
    assert (first.teacher.name, other.teacher.name) == ("GPT-4", "gpt 4")
