from __future__ import annotations

import math
from typing import Any

import pytest

from provenance.training import evaluation
from provenance.training.evaluation import Comparison, Score


def _scores(*nats: float) -> list[Score]:
    return [Score(value, 10, 40) for value in nats]


def test_perplexity_and_bits_are_the_plain_formulas() -> None:
    scores = _scores(10.0, 30.0)
    assert evaluation.perplexity(scores) == pytest.approx(math.exp(2))
    assert evaluation.bits_per_character(scores) == pytest.approx(40 / math.log(2) / 80)


def test_a_model_that_guesses_among_all_bytes_needs_eight_bits() -> None:
    assert evaluation.bits_per_character([Score(100 * math.log(256), 100, 100)]) == pytest.approx(8)


def test_an_interval_holds_its_value_and_repeats() -> None:
    scores = _scores(*(float(value) for value in range(10, 40)))
    interval = evaluation.bootstrap(scores, evaluation.perplexity)
    assert interval is not None
    assert interval[0] < evaluation.perplexity(scores) < interval[1]
    assert interval == evaluation.bootstrap(scores, evaluation.perplexity)


def test_one_sample_has_no_interval() -> None:
    assert evaluation.bootstrap(_scores(10.0), evaluation.perplexity) is None


def test_a_gain_is_shown_only_when_its_interval_is_above_zero() -> None:
    before = _scores(*(30.0 + place for place in range(20)))
    better = _scores(*(20.0 + place for place in range(20)))
    same = _scores(*(30.0 + place + (-1) ** place for place in range(20)))
    assert evaluation.summarise_gain(before, better)["shown"] is True
    assert evaluation.summarise_gain(before, better)["improved"] == 20
    assert evaluation.summarise_gain(before, same)["shown"] is False


def test_agreement_is_a_mean_over_tokens_not_over_samples() -> None:
    body = evaluation.summarise_comparison([Comparison(10, 10, 10, 0.0, 0.0), Comparison(30, 0, 15, 60.0, 3.0)])
    assert body["top1_agreement"] == 0.25
    assert body["teacher_top1_in_top5"] == 25 / 40
    assert body["kl_nats_per_token"] == 1.5
    assert body["teacher_mass_outside_vocabulary"] == 3 / 40


def test_word_counts_alone_are_the_plain_formula() -> None:
    bits = evaluation.unigram_baseline([[0, 0, 1]], [([0, 1], 2)], vocabulary=3)
    assert bits == pytest.approx(-(math.log2(3 / 6) + math.log2(2 / 6)) / 2)


def _metrics(after: float, **more: Any) -> dict[str, Any]:
    student = evaluation.summarise([Score(after * 40 * math.log(2), 10, 40)] * 3)
    return {"student_after": student, "gain": {"shown": True}} | more


def test_limits_follow_from_the_numbers() -> None:
    teacher = evaluation.summarise([Score(0.5 * 40 * math.log(2), 10, 40)] * 3)
    weak = evaluation.describe_limits(
        _metrics(2.0, teacher=teacher, against_teacher={"top1_agreement": 0.2}, unigram_bits_per_character=1.5)
    )
    assert any("4.0 times worse" in line for line in weak)
    assert any("20%" in line for line in weak)
    assert any("has not learnt more than word frequencies" in line for line in weak)
    strong = evaluation.describe_limits(_metrics(0.5, teacher=teacher, against_teacher={"top1_agreement": 0.9}))
    assert len(strong) == 1
    chance = evaluation.describe_limits(_metrics(0.5) | {"gain": {"shown": False}})
    assert any("not larger than chance" in line for line in chance)
