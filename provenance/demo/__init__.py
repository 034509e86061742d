"""The demo: its own data (`data/`, CC0-1.0, written for this project) and where it lies."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"
PROMPTS = DATA / "prompts.jsonl"
OPENAI_CLAIMED = DATA / "openai_claimed.jsonl"
LLAMA_CLAIMED = DATA / "llama_claimed.jsonl"
