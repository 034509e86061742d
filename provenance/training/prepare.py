"""What a training process needs before step 0: the run it works on, torch set up, the untrained student built and loaded.

A student is built once: by the first rank, for the others and for a resumed run to find.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.canonical import sha256_digest
from provenance.errors import MalformedError
from provenance.training.energy import EnergyMeter, describe_processor
from provenance.training.events import EventLog
from provenance.training.files import write_atomically
from provenance.training.plan import Plan, format_plan
from provenance.training.recipe import RecipeConfig
from provenance.training.student import StudentFacts, build_scratch, build_student, count_parameters

START, BUILT = "student-start", "built.json"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """What one process works with; `before` is what earlier processes of the run used, None for a run from the start."""

    plan: Plan
    config: RecipeConfig
    output: Path
    events: EventLog
    started: float
    meter: EnergyMeter
    before: Mapping[str, Any] | None = None


def is_first() -> bool:
    """Whether this is the one process, or the first of several."""
    return int(os.environ.get("RANK", "0")) == 0


def prepare_torch(plan: Plan) -> bool:
    """Seeds, threads and device; whether CUDA is used."""
    import torch
    from transformers import set_seed

    if plan.device == "cuda" and not torch.cuda.is_available():
        raise MalformedError("device: the plan asks for cuda, and this process sees no CUDA device")
    if plan.threads:
        torch.set_num_threads(plan.threads)
    set_seed(plan.seed)
    return torch.cuda.is_available() and plan.device != "cpu"


def describe_device(cuda: bool) -> str:
    """The device's name for events, statements and the report."""
    import torch

    if not cuda:
        return f"cpu: {describe_processor()}, {torch.get_num_threads()} thread(s)"
    names = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    return f"cuda: {', '.join(names)}"


def open_student(run: Run, rows: Sequence[Row]) -> tuple[Any, Any, StudentFacts]:
    """Build the untrained student where the plan says so, and load it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plan, folder = run.plan, run.output / START
    if run.config.student == "base" and plan.base_model_dir is not None:
        folder = Path(plan.base_model_dir)
        facts = StudentFacts((), 0, count_parameters(folder))
    else:
        facts = built_student(run, rows, folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    if run.config.student == "cut" and run.config.freeze_embeddings:
        # The teacher's token vectors know words that a small release never shows: training them here only forgets that.
        model.get_input_embeddings().weight.requires_grad_(False)  # torch's own signature
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True), facts


def built_student(run: Run, rows: Sequence[Row], folder: Path) -> StudentFacts:
    """The student of this plan, built by the first rank; the others, and a resumed run, find it there."""
    mark, plan_digest = folder / BUILT, sha256_digest(format_plan(run.plan))
    while True:
        if mark.is_file() and (built := json.loads(mark.read_bytes()))["plan"] == plan_digest:
            return StudentFacts(tuple(built["layers"]), built["tokens"], built["parameters"])
        if not is_first():
            time.sleep(0.2)
            continue
        shutil.rmtree(folder, ignore_errors=True)
        facts = _build(run, rows, folder)
        said = {"plan": plan_digest, "layers": facts.layers, "tokens": facts.tokens, "parameters": facts.parameters}
        write_atomically(mark, json.dumps(said).encode())


def _build(run: Run, rows: Sequence[Row], folder: Path) -> StudentFacts:
    plan, config = run.plan, run.config
    if plan.base_model_dir is None:
        texts = [message["content"] for row in rows for message in (*row["prompt"], *row["completion"])]
        layers = config.layers if isinstance(config.layers, int) else len(config.layers)
        return build_scratch(texts, folder, seed=plan.seed, hidden=config.hidden, layers=layers)
    from transformers import AutoTokenizer

    from provenance.training.measure import render_sample

    base = Path(plan.base_model_dir)
    reader = AutoTokenizer.from_pretrained(base, local_files_only=True)
    texts = ["".join(render_sample(reader, row)) for row in rows]
    return build_student(base, texts, folder, layers=config.layers, common_tokens=config.common_tokens)
