"""Two answers side by side: nothing differs from itself, and each difference is said."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from provenance.policy.compare import compare_answers
from tests.policy.conftest import Ask, make_sample, make_student

TEACHERS = ("meta/llama-3.1-8b-instruct", "huggingface-smollm/smollm2-135m-instruct", "deepseek/deepseek-v3", "no/body")


@given(st.sampled_from(TEACHERS), st.sampled_from(TEACHERS), st.sampled_from(["train", "publish"]))
def test_an_answer_differs_from_itself_in_nothing_and_from_another_both_ways(
    ask: Ask, first: str, second: str, action: str
) -> None:
    a, b = (ask(make_sample(name), action=action) for name in (first, second))
    there, back = compare_answers(a, b), compare_answers(b, a)
    assert compare_answers(a, a)["same"]
    assert compare_answers(a, a)["text"] == []
    assert there["same"] == back["same"] == (first == second)
    for name in ("reasons", "documents", "conditions", "unknown"):
        assert there[name]["gone"] == back[name]["new"]
    assert bool(there["text"]) == (not there["same"])


def test_each_difference_stands_in_a_sentence(ask: Ask) -> None:
    notices = ["Built with Llama"]
    found = compare_answers(ask(student=make_student()), ask(student=make_student(name="Llama-tutor", notices=notices)))
    changed = {item["type"]: (item["before"], item["after"]) for item in found["conditions"]["changed"]}
    assert changed["name-prefix"] == ("unmet", "met")
    assert any("name-prefix" in line and "is met and was unmet" in line for line in found["text"])
    other: dict[str, Any] = compare_answers(ask(), ask(make_sample("no/body")))
    assert other["verdict"] == {"before": "allow-with-conditions", "after": "review"}
    assert other["text"][0] == "The verdict is review and was allow-with-conditions."
    assert any("does not bind any more" in line for line in other["text"])
