"""A whole collection as it is posted, small enough to be counted by hand; each data set is one kind of difference."""

from __future__ import annotations

from typing import Any

from provenance.policy.collection.upstream import CLASSES_FILE, CUSTOM_FILE
from tests.capture.collection.summaries import one_file

CONSTANTS: dict[str, Any] = {
    CLASSES_FILE: {
        "MIT License": ["All", "1", "0"], "Apache License 2.0": ["All", "1", "0"], "CC BY-NC 4.0": ["NC", "1", "0"],
        "OpenAI": ["NC", "0", "0"], "Unspecified": ["Unspecified", "0", "0"], "Various": ["Acad", "0", "0"],
        "No License": ["All", "0", "0"], "CC BY-ND 4.0": ["All", "1", "1"], "Academic Research Purposes Only": ["Acad", "1", "1"],
    },
    CUSTOM_FILE: {"https://example.org/free": ["All", "0", "0"], "https://example.org/odd": ["?", "?", "?"]},
}  # fmt: skip
NC_TAG = {"HF Yaml License": "CC BY-NC 4.0"}
DATASETS: dict[str, dict[str, Any]] = {
    "human-mit": {"licenses": ["MIT License"]},
    "human-various": {"licenses": ["Various"]},
    "human-nd": {"licenses": ["CC BY-ND 4.0"]},
    "human-tagged-nc": {"licenses": ["MIT License"], "metadata": NC_TAG},
    "human-of-nc": {"licenses": ["MIT License"], "parents": ["human-nc"]},
    "human-nc": {"licenses": ["CC BY-NC 4.0"]},
    "human-of-nobody": {"licenses": ["MIT License"], "parents": ["Lost"]},
    "gpt4-listed": {"licenses": ["OpenAI", "MIT License"], "generators": ["OpenAI GPT-4"]},
    "gpt4-not-listed": {"licenses": ["MIT License"], "generators": ["OpenAI GPT-4"]},
    "gpt4-nc": {"licenses": ["CC BY-NC 4.0", "OpenAI"], "generators": ["OpenAI GPT-4"]},
    "hidden": {"licenses": ["OpenAI", "MIT License"]},
    "chatgpt-listed": {"licenses": ["OpenAI", "MIT License"], "generators": ["OpenAI ChatGPT"]},
    "bart": {"licenses": ["MIT License"], "generators": ["BART"]},
    "other": {"licenses": ["MIT License"], "generators": ["Other"]},
    "llama2": {"licenses": ["MIT License"], "generators": ["LLaMA-2-chat-70b"]},
    "llama2-nc": {"licenses": ["CC BY-NC 4.0"], "generators": ["LLaMA-2-chat-70b"]},
    "mixtral": {"licenses": ["Apache License 2.0"], "generators": ["Mixtral-8x7B"]},
    "mixtral-custom": {"licenses": ["No License"], "generators": ["Mixtral-8x7B"]},
}  # fmt: skip


def make_request(**changes: Any) -> dict[str, Any]:
    """What `POST /api/v1/collections` takes."""
    files = one_file(DATASETS)
    sources = [{"path": "Made.json", "digest": "sha256:" + "0" * 64}]
    return {"origin": "made for tests", "files": files, "constants": CONSTANTS, "sources": sources, **changes}
