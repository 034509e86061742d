from __future__ import annotations

import pytest

from provenance.errors import MalformedError
from provenance.policy.student import parse_student
from provenance.terms.catalogue import Catalogue


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("OpenAI", "openai"),
        ("OpenAI Inc.", "openai"),
        ("Google DeepMind", "google"),
        ("x.ai", "xai"),
        ("Quiet Labs", "quiet labs"),  # a competitor need not be on record
        ("ai21", "ai21"),
    ],
)
def test_a_competitor_is_known_by_its_names(catalogue: Catalogue, written: str, known: str) -> None:
    assert parse_student({"competes_with": [written]}, catalogue).competes_with == frozenset({known})


@pytest.mark.parametrize("written", ["opneai", "Antropic", "mistrall", "deep-seek"])
def test_a_competitor_with_a_slip_of_the_pen_is_refused(catalogue: Catalogue, written: str) -> None:
    with pytest.raises(MalformedError, match="did you mean") as caught:
        parse_student({"competes_with": [written]}, catalogue)
    assert caught.value.errors[0].field == "student.competes_with"
    assert caught.value.errors[0].value == written


def test_a_list_with_an_unknown_competitor_is_not_known(catalogue: Catalogue) -> None:
    assert parse_student({"competes_with": ["google", "unknown"]}, catalogue).competes_with is None


@pytest.mark.parametrize(
    ("facts", "told"), [({}, False), ({"base_model": "unknown"}, False), ({"base_model": None}, True)]
)
def test_a_base_that_is_null_is_none_and_one_left_out_is_not_known(
    catalogue: Catalogue, facts: dict[str, str], told: bool
) -> None:
    student = parse_student(facts, catalogue)
    assert (student.base_model == "", student.base_by_name) == (told, told)


def test_the_name_of_a_base_on_record_tells_its_licence(catalogue: Catalogue) -> None:
    assert parse_student({"base_model": "Qwen/Qwen2.5-7B"}, catalogue).base_by_name
    assert not parse_student({"base_model": "house-base-1"}, catalogue).base_by_name
