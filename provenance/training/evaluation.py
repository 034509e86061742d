"""What a student is worth against its teacher: numbers from per-sample sums, with intervals, and what they say it cannot do.

- A sample's `Score` is the summed negative log-likelihood of its completion in nats, over how many tokens and characters.
- Perplexity is per token and so only comparable within one tokenizer; bits per character are comparable between any two models.
- Intervals are 95 % bootstrap intervals over held-out samples, drawn with a fixed seed.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

RESAMPLES = 1000
_USEFUL_AGREEMENT = 0.6


@dataclass(frozen=True)
class Score:
    """One held-out completion under one model: summed nats, tokens and characters."""

    nats: float
    tokens: int
    characters: int


@dataclass(frozen=True)
class Comparison:
    """Student against teacher on one completion, over the shared tokens: sums over `tokens` places."""

    tokens: int
    agreed: float
    agreed_top5: float
    kl_nats: float
    outside: float


def perplexity(scores: Sequence[Score]) -> float:
    """exp of the mean nats per token."""
    return math.exp(min(700.0, sum(score.nats for score in scores) / max(1, sum(score.tokens for score in scores))))


def bits_per_character(scores: Sequence[Score]) -> float:
    """Bits that the model needs for a character of text; no tokenizer enters."""
    return sum(score.nats for score in scores) / math.log(2) / max(1, sum(score.characters for score in scores))


def bootstrap(items: Sequence[T], statistic: Callable[[Sequence[T]], float], seed: int = 0) -> list[float] | None:
    """The 2.5 % and 97.5 % points of a statistic over resampled items; None for fewer than two items."""
    if len(items) < 2:
        return None
    draw = random.Random(seed)  # noqa: S311  # statistics, not secrets
    values = sorted(statistic(draw.choices(items, k=len(items))) for _ in range(RESAMPLES))
    return [values[int(RESAMPLES * 0.025)], values[int(RESAMPLES * 0.975) - 1]]


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Perplexity and bits per character of one model, with intervals and counts."""
    return {
        "perplexity": perplexity(scores),
        "perplexity_interval": bootstrap(scores, perplexity),
        "bits_per_character": bits_per_character(scores),
        "bits_per_character_interval": bootstrap(scores, bits_per_character),
        "n": len(scores),
        "tokens": sum(score.tokens for score in scores),
        "characters": sum(score.characters for score in scores),
    }


def summarise_gain(before: Sequence[Score], after: Sequence[Score]) -> dict[str, Any]:
    """Bits per character saved by training, on the same samples, so that hard samples do not blur the interval."""

    def gain(pairs: Sequence[tuple[Score, Score]]) -> float:
        return bits_per_character([pair[0] for pair in pairs]) - bits_per_character([pair[1] for pair in pairs])

    pairs = list(zip(before, after, strict=True))
    interval = bootstrap(pairs, gain)
    value = gain(pairs)
    return {
        "bits_per_character": value,
        "interval": interval,
        "n": len(pairs),
        "improved": sum(new.nats < old.nats for old, new in pairs),
        "shown": interval is not None and interval[0] > 0,
    }


def summarise_comparison(compared: Sequence[Comparison]) -> dict[str, Any]:
    """Agreement with the teacher and divergence from it, each a mean over tokens with its interval."""

    def mean(name: str) -> Callable[[Sequence[Comparison]], float]:
        return lambda items: sum(getattr(item, name) for item in items) / max(1, sum(item.tokens for item in items))

    names = {"agreed": "top1_agreement", "agreed_top5": "teacher_top1_in_top5", "kl_nats": "kl_nats_per_token"}
    body: dict[str, Any] = {"n": len(compared), "tokens": sum(item.tokens for item in compared)}
    for field, name in names.items():
        body[name] = mean(field)(compared)
        body[f"{name}_interval"] = bootstrap(compared, mean(field))
    body["teacher_mass_outside_vocabulary"] = mean("outside")(compared)
    return body


def unigram_baseline(
    train: Sequence[Sequence[int]], test: Sequence[tuple[Sequence[int], int]], vocabulary: int
) -> float:
    """Bits per character of a model that knows only how often each token occurs (add-one smoothing).

    A student above this line has learnt less than word counts. `test` holds token ids and characters of each completion.
    """
    counts = Counter(token for tokens in train for token in tokens)
    total = sum(counts.values()) + vocabulary
    nats = sum(-math.log((counts[token] + 1) / total) for tokens, _ in test for token in tokens)
    return nats / math.log(2) / max(1, sum(characters for _, characters in test))


def describe_limits(metrics: Mapping[str, Any]) -> list[str]:
    """What this student cannot do, in plain sentences that follow from the numbers."""
    after, teacher = metrics["student_after"], metrics.get("teacher")
    limits = [
        f"All numbers come from {after['n']} held-out samples of one release; other text was not measured.",
    ]
    if teacher:
        ratio = after["bits_per_character"] / max(1e-9, teacher["bits_per_character"])
        if ratio > 1.1:
            limits.append(
                f"It predicts the teacher's text {ratio:.1f} times worse than the teacher itself "
                f"({after['bits_per_character']:.2f} against {teacher['bits_per_character']:.2f} bits per character)."
            )
    compared = metrics.get("against_teacher")
    if compared and compared["top1_agreement"] < _USEFUL_AGREEMENT:
        limits.append(
            f"Its first choice is the teacher's at {compared['top1_agreement']:.0%} of the places: left to write alone it leaves "
            "the subject within a sentence. It is no assistant and must not be used to answer questions."
        )
    baseline = metrics.get("unigram_bits_per_character")
    if baseline is not None:
        better = after["bits_per_character"] < baseline
        limits.append(
            f"Word counts alone need {baseline:.2f} bits per character; the student needs {after['bits_per_character']:.2f}: "
            + (
                "it has learnt more than word frequencies."
                if better
                else "it has not learnt more than word frequencies."
            )
        )
    if not metrics["gain"]["shown"]:
        limits.append("The gain over the untrained student is not larger than chance on these samples.")
    tokens = metrics.get("train_tokens")
    if tokens:
        limits.append(
            f"It was trained on {tokens:,} tokens, repeats counted: far too few for facts, arithmetic or code."
        )
    return limits
