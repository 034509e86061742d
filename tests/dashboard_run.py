"""A run as the training process leaves it behind: events, phases, metrics computed by the product from made-up sums."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from provenance.demo.run import STUDENT
from provenance.runtime import Runtime
from provenance.store.releases import get_release
from provenance.store.session import read_session
from provenance.training.evaluation import (
    Comparison,
    Score,
    describe_limits,
    summarise,
    summarise_comparison,
    summarise_gain,
)
from provenance.training.launch import run_folder

RUN, MODEL = "run_done", "mdl_done"
STEPS = 48


def digest(name: str) -> str:
    """A digest that differs by name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def loss_at(step: int) -> float:
    """A loss that falls as losses do."""
    return round(2.0 + 4.2 * math.exp(-step / 14) + 0.15 * math.sin(step), 5)


def step_event(step: int, total: int) -> dict[str, Any]:
    """One `step` event of the feed."""
    return {
        "event": "step", "at": f"2026-11-24T10:{step // 60:02}:{step % 60:02}.000Z", "step": step, "total": total,
        "loss": loss_at(step), "lr": 0.001, "tokens_per_second": 1710.5, "eta_seconds": 2.0 * (total - step),
        "elapsed_seconds": 2.0 * step,
    }  # fmt: skip


def write_events(output: Path, *, steps: int, total: int, ended: bool) -> None:
    """`events.jsonl` with one step written twice, as after a resume."""
    output.mkdir(parents=True, exist_ok=True)
    events = [{"event": "started", "at": "2026-11-24T10:00:00.000Z", "train": 60, "test": 9, "device": "cpu: a processor, 2 thread(s)"}]  # fmt: skip
    events += [step_event(step, total) for step in range(1, steps + 1)] + [step_event(steps, total)]
    events += [{"event": "finished", "at": "2026-11-24T10:02:00.000Z", "steps": steps}] if ended else []
    (output / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def append_event(output: Path, event: dict[str, Any]) -> None:
    """One more event."""
    with (output / "events.jsonl").open("a") as stream:
        stream.write(json.dumps(event) + "\n")


def make_metrics() -> dict[str, Any]:
    """A scorecard over twelve held-out samples."""
    characters = [300 + 20 * place for place in range(12)]
    before = [Score(1.55 * count + place, count // 4, count) for place, count in enumerate(characters)]
    after = [Score(1.02 * count + place, count // 4, count) for place, count in enumerate(characters)]
    teacher = [Score(0.52 * count, count // 4, count) for count in characters]
    compared = [Comparison(80, 30.0 + place % 5, 52.0 + place % 3, 96.0 - place, 1.4) for place in range(12)]
    return {
        "student_before": summarise(before), "student_after": summarise(after), "teacher": summarise(teacher),
        "gain": summarise_gain(before, after), "unigram_bits_per_character": 1.9, "train_tokens": 31_482,
        "against_teacher": summarise_comparison(compared),
        "speed": {
            "teacher": {"first_token_seconds": 0.08, "tokens_per_second": 21.4, "n_tokens": 24},
            "student": {"first_token_seconds": 0.01, "tokens_per_second": 143.0, "n_tokens": 24},
            "note": "one request alone, greedy, on the run's device",
        },
        "teacher_size": {"parameters": 134_515_008, "disk_bytes": 269_060_552},
    }  # fmt: skip


def append_run(runtime: Runtime, release: dict[str, Any], student: str) -> str:
    """The three phases of a finished run, its events, and its model; the answer is the model's id."""
    metrics = make_metrics()
    base = "huggingface-smollm/smollm2-135m-instruct"
    common = {"id": RUN, "release": release["id"], "student": student, "recipe": "sft", "plan_digest": digest("plan")}
    plan: dict[str, Any] = {
        "base_model": base, "teachers": [base, "meta/llama-3.1-8b-instruct"], "config": {"layers": 6, "epochs": 4.0},
        "seed": 7, "code_digest": digest("code"), "environment_digest": digest("environment"),
    }  # fmt: skip
    runtime.append("run", {**common, "phase": "plan", "at": "2026-11-24T10:00:00Z", **plan})
    runtime.append("run", {**common, "phase": "start", "at": "2026-11-24T10:00:01Z"})
    files: list[dict[str, Any]] = [{"path": "config.json", "digest": digest("config"), "size_bytes": 812},
             {"path": "model.safetensors", "digest": digest("weights"), "size_bytes": 51_380_224}]  # fmt: skip
    with read_session(runtime.engine) as session:
        conditions = get_release(session, release["id"])["conditions"]
    model = {
        "id": MODEL, "provider": "acme", "name": STUDENT, "revision": RUN, "weights_digest": digest("model"),
        "kind": "trained", "license": "Apache-2.0", "parents": [base, *plan["teachers"]], "release": release["id"],
        "run": RUN, "evaluation": metrics, "conditions": conditions, "parameters_count": 25_690_112, "files": files,
    }  # fmt: skip
    runtime.append("model", model, subjects=[(item["path"], item["digest"]) for item in files])
    ended = {
        "base_model": base, "seed": 7, "device": "cpu: a processor, 2 thread(s)", "isolation": "namespaces",
        "sample_ids_digest": digest("ids"), "steps": STEPS, "tokens": 31_482, "metrics": metrics,
        "consumed": {"samples": 240, "distinct": 60, "released": 60, "equals_release": True},
        "flops": {"method": "6ND", "value": 6 * 25_690_112 * 31_482}, "peak_memory_bytes": 2_107_424_768, "wall_seconds": 96.4, "model": MODEL,
        "energy_kwh": {"method": "estimated", "value": 0.00052, "note": "188 processor seconds at an assumed 10 W"},
        "limits": describe_limits(metrics), "error": None,
    }  # fmt: skip
    runtime.append("run", {**common, "phase": "end", "at": "2026-11-24T10:01:38Z", **ended})
    write_events(run_folder(runtime, RUN) / "out", steps=STEPS, total=STEPS, ended=True)
    return MODEL
