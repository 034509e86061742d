"""The scorecard of a trained student: held-out numbers before and after, the teacher's, speed, texts side by side, limits.

Without held-out samples nothing is measured, and the scorecard says so; without the teacher's weights its part is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.training.energy import EnergyMeter
from provenance.training.evaluation import (
    Score,
    describe_limits,
    summarise,
    summarise_comparison,
    summarise_gain,
    unigram_baseline,
)
from provenance.training.generate import load_model
from provenance.training.measure import compare_samples, encode_sample, generate_texts, measure_speed, score_samples
from provenance.training.student import count_parameters

Row = Mapping[str, Any]
SPEED_TOKENS = 24
SHOWN_TOKENS = 48


@dataclass(frozen=True)
class Loaded:
    """A model and its tokenizer."""

    model: Any
    tokenizer: Any

    def score(self, rows: Sequence[Row], max_length: int) -> list[Score]:
        """Held-out scores in the model's own tokenizer."""
        encoded = [encode_sample(self.tokenizer, row, max_length) for row in rows]
        return score_samples(self.model.eval(), encoded)


@dataclass(frozen=True)
class HeldOut:
    """What the student is measured on, and against what."""

    rows: Sequence[Row]
    max_length: int
    generations: int
    teacher_dir: Path | None
    token_map: Path | None


def score_student(
    student: Loaded, held_out: HeldOut, before: Sequence[Score], train_rows: Sequence[Row], train_tokens: int
) -> dict[str, Any]:
    """The whole scorecard."""
    rows, length = held_out.rows, held_out.max_length
    if not rows:
        return {"limits": ["The release has no held-out samples: what the student learnt was not measured."]}
    after = student.score(rows, length)
    train = [encode_sample(student.tokenizer, row, length).completion for row in train_rows]
    test = [encode_sample(student.tokenizer, row, length) for row in rows]
    counted = [(item.completion, item.characters) for item in test]
    metrics: dict[str, Any] = {
        "student_before": summarise(before),
        "student_after": summarise(after),
        "gain": summarise_gain(before, after),
        "unigram_bits_per_character": unigram_baseline(train, counted, len(student.tokenizer)),
        "train_tokens": train_tokens,
        "by_teacher": {
            name: summarise([item for item, row in zip(after, rows, strict=True) if row["teacher"] == name])
            for name in sorted({row["teacher"] for row in rows})
        },
    }
    if held_out.teacher_dir is not None:
        metrics |= score_against_teacher(student, held_out, held_out.teacher_dir)
    return metrics | {"limits": describe_limits(metrics)}


def _measure_use(side: Loaded, prompt: Any) -> dict[str, Any]:
    """Speed, and the energy that it took; prompt and first token are in it."""
    meter = EnergyMeter()
    return measure_speed(side.model, side.tokenizer, prompt, SPEED_TOKENS) | {"energy_kwh": meter.read()}


def score_against_teacher(student: Loaded, held_out: HeldOut, folder: Path) -> dict[str, Any]:
    """What needs the teacher's weights."""
    rows, length = held_out.rows, held_out.max_length
    teacher = Loaded(*load_model(folder))
    student.model.to(teacher.model.device)
    report: dict[str, Any] = {"teacher": summarise(teacher.score(rows, length))}
    if held_out.token_map is not None:
        encoded = [encode_sample(student.tokenizer, row, length) for row in rows]
        mapped = json.loads(held_out.token_map.read_text("utf-8"))
        report["against_teacher"] = summarise_comparison(compare_samples(student.model, teacher.model, encoded, mapped))
    sides = {"student": student, "teacher": teacher}
    report["speed"] = {name: _measure_use(side, rows[0]["prompt"]) for name, side in sides.items()} | {
        "note": "one request alone, greedy, on the run's device"
    }
    prompts = [row["prompt"] for row in rows[: held_out.generations]]
    if prompts:
        texts = {
            name: generate_texts(side.model, side.tokenizer, prompts, SHOWN_TOKENS) for name, side in sides.items()
        }
        triples = zip(prompts, texts["teacher"], texts["student"], strict=True)
        report["side_by_side"] = [{"prompt": p[-1]["content"], "teacher": t, "student": s} for p, t, s in triples]
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return report | {"teacher_size": {"parameters": count_parameters(folder), "disk_bytes": disk}}
