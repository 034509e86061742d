from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from provenance import demo

FILES = (demo.OPENAI_CLAIMED, demo.LLAMA_CLAIMED)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_there_are_enough_prompts_no_two_alike_in_many_topics() -> None:
    prompts = _read(demo.PROMPTS)
    assert len(prompts) >= 200
    assert len({item["prompt"] for item in prompts}) == len({item["id"] for item in prompts}) == len(prompts)
    topics = Counter(item["topic"] for item in prompts)
    assert len(topics) >= 10
    assert max(topics.values()) < len(prompts) / 5
    assert all(item.keys() == {"id", "topic", "prompt"} and 5 < len(item["prompt"]) < 200 for item in prompts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_claimed_samples_are_whole_sample_bodies(path: Path) -> None:
    samples = _read(path)
    assert len(samples) == 40
    assert len({sample["external_id"] for sample in samples}) == 40
    for sample in samples:
        assert "dataset" not in sample
        assert sample["prompt"][0]["role"] == "user"
        assert sample["completion"][0]["role"] == "assistant"
        assert sample["completion"][0]["content"].strip()
        assert sample["prompt_origin"] == {"kind": "human", "ref": None, "license": "CC0-1.0"}
        assert datetime.fromisoformat(sample["generated_at"]).utcoffset() is not None


def test_the_two_sets_play_their_parts() -> None:
    openai, llama = (_read(path) for path in FILES)
    assert {(item["teacher"]["provider"], item["teacher"]["route"]) for item in openai} == {("openai", "api")}
    assert {item["generated_at"][:7] for item in openai} == {"2026-02", "2026-03", "2026-04"}
    assert {(item["teacher"]["provider"], item["teacher"]["route"]) for item in llama} == {("meta", "weights")}
    assert all(item["teacher"]["obtained_at"].startswith("2025-") for item in llama)


def test_no_prompt_and_no_answer_is_used_twice() -> None:
    prompts = [item["prompt"] for item in _read(demo.PROMPTS)]
    claimed = [item for path in FILES for item in _read(path)]
    prompts += [item["prompt"][0]["content"] for item in claimed]
    answers = [item["completion"][0]["content"] for item in claimed]
    assert len(set(prompts)) == len(prompts)
    assert len(set(answers)) == len(answers)


def test_the_data_says_what_it_is() -> None:
    words = (demo.DATA / "README.md").read_text("utf-8")
    assert "CC0-1.0" in words
    assert "No line here is the output of any of these models" in words
