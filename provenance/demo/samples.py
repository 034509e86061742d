"""The demo's own data: prompts, and samples written by us to play the part of samples that somebody claims to have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent / "data"


def load_prompts() -> list[dict[str, Any]]:
    """All prompts: `{id, topic, prompt}`."""
    return _load("prompts")


def load_claims(name: str, dataset: str) -> list[dict[str, Any]]:
    """One set of claimed samples, as bodies of `POST /api/v1/samples`."""
    return [{**sample, "dataset": dataset} for sample in _load(name)]


def _load(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_bytes().splitlines()
    return [orjson.loads(line) for line in lines if line.strip()]
