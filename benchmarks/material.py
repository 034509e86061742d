"""Samples of the usual size: about 2 KB of words each, reproducible."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import orjson

from provenance.capture.sample import Sample, parse_samples

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 7)) for n in range(2000)]


def make_body(count: int, seed: int = 0) -> bytes:
    """An NDJSON body of `count` samples."""
    chance = random.Random(seed)
    return b"\n".join(orjson.dumps(_sample(chance, number)) for number in range(count))


def make_samples(count: int, seed: int = 0) -> list[Sample]:
    """The same, parsed and checked."""
    return parse_samples(make_body(count, seed), now=NOW, lines=True)


def _sample(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "dataset": "bench",
        "teacher": {"provider": "huggingface-smollm", "model": "smollm2-135m-instruct", "route": "weights"},
        "generated_at": f"2026-11-{1 + number % 20:02}T10:00:00Z",
        "prompt": " ".join(chance.choices(WORDS, k=60)),
        "completion": " ".join(chance.choices(WORDS, k=240)),
        "parameters": {"temperature": 0.7, "seed": number},
        "usage": {"input_tokens": 60, "output_tokens": 240},
        "prompt_origin": {"kind": "human", "license": "CC0-1.0"},
    }
