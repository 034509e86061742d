"""A run that has finished, as its trainer leaves it, without the minutes of training: a small model folder of real safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from provenance.runtime import Runtime
from provenance.training.files import digest_files, list_files
from provenance.training.launch import finish_run, model_folder, plan_run, start_phase

SCRATCH = {"student": "scratch", "layers": 1, "hidden": 64, "max_steps": 2}
SCORE = {
    "n": 8,
    "tokens": 120,
    "bits_per_character": 2.5,
    "bits_per_character_interval": [2.25, 2.75],
    "perplexity": 3.5,
}
METRICS: dict[str, Any] = {
    "student_before": SCORE | {"bits_per_character": 4.0, "bits_per_character_interval": [3.75, 4.25]},
    "student_after": SCORE,
}  # fmt: skip
FACTS: dict[str, Any] = {
    "state": "finished", "steps": 2, "tokens": 90, "device": "cpu", "isolation": "plain", "parameters": 1234, "wall_seconds": 9.5,
    "flops": {"method": "6ND", "value": 666_360}, "metrics": METRICS, "limits": ["Eight held-out samples say little."],
    "energy_kwh": {"method": "estimated", "value": 0.0005, "note": "an assumed 10 W for each busy core"},
}  # fmt: skip


def write_model(folder: Path) -> dict[str, Any]:
    """A model folder, and what its trainer would report of it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"embed.weight": np.arange(12, dtype=np.float32).reshape(3, 4)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}\n')
    (folder / "tokenizer.json").write_text("{}\n")
    files = list_files(folder)
    return FACTS | {"model_files": files, "weights_digest": digest_files(files)}


def ask(**changes: Any) -> dict[str, Any]:
    """A request to train on the release of `world`."""
    return {"release": "tutor@1", "student": "acme-tutor", "recipe": "sft", "config": SCRATCH, "seed": 7} | changes


def finish(runtime: Runtime, run_id: str, *, result: dict[str, Any] | None = None, **changes: Any) -> str | None:
    """Plan, start and end a run; the answer is the id of its model."""
    plan_run(runtime, run_id, ask(**changes))
    start_phase(runtime, run_id, ask(**changes))
    made = write_model(model_folder(runtime, run_id)) | (result or {})
    return finish_run(runtime, run_id, ask(**changes), {"state": "finished", "result": made, "detail": None})
