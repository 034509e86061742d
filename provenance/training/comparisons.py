"""A run's metrics (`training.scorecard`) as rows: teacher, student before, student after, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """One measured value with its interval, where one was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One task: teacher, student before and after training. `better` is lower or higher; `n` counts the items measured."""

    task: str
    unit: str
    better: str
    n: int | None
    teacher: Measure | None
    before: Measure | None
    student: Measure | None


def fill_comparisons(metrics: Metrics, model: Mapping[str, Any] | None) -> list[Comparison]:
    """What was measured; `model` is the trained model's statement, whose size is compared with its teacher's."""
    if "student_after" not in metrics:
        return []
    return [
        *_held_out(metrics),
        *_against_teacher(metrics.get("against_teacher")),
        *_speed(metrics.get("speed")),
        *_size(metrics.get("teacher_size"), model),
        *_cost(metrics.get("cost")),
    ]


def _held_out(metrics: Metrics) -> list[Comparison]:
    before, after, teacher = metrics["student_before"], metrics["student_after"], metrics.get("teacher")
    bits, perplexity, count = "bits_per_character", "perplexity", after["n"]
    sides = (_measure(teacher, bits), _measure(before, bits), _measure(after, bits))
    own = (_measure(before, perplexity), _measure(after, perplexity))
    # Perplexity counts the tokens of one tokenizer, so the teacher's, with its own, does not stand beside the student's.
    return [
        Comparison("Held-out text, bits per character", "comparable between models", "lower", count, *sides),
        Comparison("Held-out perplexity", "per token of the student's tokenizer", "lower", count, None, *own),
    ]


def _against_teacher(compared: Metrics | None) -> list[Comparison]:
    if compared is None:
        return []
    share, count, whole = "share of next tokens", compared["tokens"], Measure(1.0)
    first, five = _measure(compared, "top1_agreement"), _measure(compared, "teacher_top1_in_top5")
    divergence = _measure(compared, "kl_nats_per_token")
    return [
        Comparison("First choice is the teacher's", share, "higher", count, whole, None, first),
        Comparison("Teacher's choice in its first five", share, "higher", count, whole, None, five),
        Comparison("Divergence from the teacher (KL)", "nats per token", "lower", count, None, None, divergence),
    ]


def _speed(speed: Metrics | None) -> list[Comparison]:
    if speed is None:
        return []
    teacher, student = (Measure(speed[side]["tokens_per_second"]) for side in ("teacher", "student"))
    unit = f"tokens per second; {speed['note']}"
    return [Comparison("Speed", unit, "higher", speed["student"].get("n_tokens"), teacher, None, student)]


def _size(teacher: Metrics | None, model: Mapping[str, Any] | None) -> list[Comparison]:
    if teacher is None or model is None:
        return []
    disk = sum(file["size_bytes"] for file in model["files"])
    return [
        Comparison("Parameters", "", "lower", None, Measure(teacher["parameters"]), None, Measure(model["parameters_count"])),
        Comparison("Size on disk", "MiB", "lower", None, Measure(teacher["disk_bytes"] / 2**20), None, Measure(disk / 2**20)),
    ]  # fmt: skip


def _cost(cost: Metrics | None) -> list[Comparison]:
    """By the user's prices; a side without a price has no measure, and without a table there is no row."""
    if cost is None:
        return []
    training, tokens = cost["training"], cost.get("per_million_tokens") or {}
    teacher, student = (_priced(tokens.get(side)) for side in ("teacher", "student"))
    rows = []
    if student is not None:
        unit = f"{training['currency']}; {tokens['student']['note']}; one request alone"
        rows.append(Comparison("Cost of a million tokens", unit, "lower", None, teacher, None, student))
    if (spent := _priced(training)) is not None:
        unit = f"{training['currency']}; {training['note']}"
        rows.append(Comparison("Training cost", unit, "lower", None, None, None, spent))
    return rows


def _priced(cost: Metrics | None) -> Measure | None:
    return None if cost is None or cost["value"] is None else Measure(cost["value"])


def _measure(of: Metrics | None, name: str) -> Measure | None:
    if of is None:
        return None
    low, high = of.get(f"{name}_interval") or (None, None)
    return Measure(of[name], low, high)
