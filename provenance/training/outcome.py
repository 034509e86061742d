"""What a training process leaves: facts of the run, the model folder (safetensors only) and `result.json`, the last of all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.training.compute import count_training, count_white_box
from provenance.training.energy import add_energy, peak_memory_bytes
from provenance.training.files import digest_files, find_pickles, list_files, open_modes, write_atomically
from provenance.training.local import RESULT
from provenance.training.prepare import START, Row, Run, describe_device
from provenance.training.recipe import WHITE_BOX
from provenance.training.student import TOKEN_MAP, StudentFacts, count_parameters

if TYPE_CHECKING:
    from provenance.training.consumed import Consumed
    from provenance.training.scorecard import HeldOut

MODEL = "model"


def describe_training(run: Run, facts: StudentFacts, trainer: Any, seconds: float) -> dict[str, Any]:
    """The facts of the training itself, for the run's statement."""
    import torch

    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "run_id": run.plan.run_id,
        "recipe": run.plan.recipe,
        "seed": run.plan.seed,
        "steps": trainer.state.global_step,
        "total_steps": trainer.state.max_steps,
        "loss": {"first": losses[0], "last": losses[-1]} if losses else None,
        "train_seconds": round(seconds, 2),
        "parameters": facts.parameters,
        "layers": list(facts.layers),
        "vocabulary": facts.tokens,
        "device": describe_device(trainer.args.device.type == "cuda"),
        "dtype": "bfloat16" if trainer.args.bf16 else "float32",
        "processes": trainer.args.world_size,
        "isolation": os.environ.get("PROVENANCE_ISOLATION", "plain"),
        "torch_version": torch.__version__,
        "versions": _versions(),
        "gpu_peak_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    }


def describe_consumed(run: Run, facts: StudentFacts, rows: Sequence[Row], consumed: Consumed) -> dict[str, Any]:
    """Which samples were trained on, in order; whether they are exactly the released ones; and the compute that took."""
    released, indices, tokens = {int(row["entry_index"]) for row in rows}, consumed.indices, sum(consumed.tokens)
    return {
        "tokens": tokens,
        "sample_ids_digest": sha256_digest(canonical_bytes(indices)),
        "consumed": {
            "samples": len(indices),
            "distinct": len(set(indices)),
            "released": len(released),
            "equals_release": set(indices) == released,
        },
    } | describe_compute(run, facts, consumed)


def describe_compute(run: Run, facts: StudentFacts, consumed: Consumed) -> dict[str, Any]:
    """The compute of the run, and the teacher that a white-box recipe ran beside the student."""
    trained = sum(consumed.tokens)
    if run.plan.recipe not in WHITE_BOX:
        return {"flops": count_training(facts.parameters, trained)}
    teacher, seen = count_parameters(Path(run.plan.teacher_dir or "")), trained + sum(consumed.scored)
    written = sum(consumed.written)
    named = {"model": run.plan.teacher, "weights_digest": run.plan.teacher_digest}
    return {
        "flops": count_white_box(facts.parameters, teacher, trained=trained, written=written, seen=seen),
        "teacher_weights": named | {"parameters": teacher, "tokens": seen},
    }


def describe_rounds(run: Run, consumed: Consumed) -> dict[str, Any]:
    """What the student wrote itself, and the one digest over the rounds that were recorded and permitted before training."""
    if run.plan.recipe != "on-policy":
        return {}
    rounds = consumed.rounds
    return {
        "on_policy": {
            "rounds": len(rounds),
            "samples": sum(count for _, _, count in rounds),
            "written_tokens": sum(consumed.written),
            "rounds_digest": sha256_digest(canonical_bytes(rounds)),
        }
    }


def hold_out(run: Run, rows: Sequence[Row]) -> HeldOut:
    """What the student is measured on; agreement needs the vocabulary of this very teacher."""
    from provenance.training.scorecard import HeldOut

    plan, token_map = run.plan, run.output / START / TOKEN_MAP
    shared = token_map.is_file() and plan.base_model_dir == plan.teacher_dir
    folder = Path(plan.teacher_dir) if plan.teacher_dir else None
    return HeldOut(rows, run.config.max_length, run.config.sample_generations, folder, token_map if shared else None)


def save_model(output: Path, model: Any, tokenizer: Any) -> list[dict[str, Any]]:
    """Write the model folder: safetensors, config and tokenizer; a pickle in it is a fault."""
    beside = output / f".{MODEL}.partial"
    shutil.rmtree(beside, ignore_errors=True)
    model.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    pickles = find_pickles(beside)
    if pickles:
        msg = f"the model folder holds pickles: {', '.join(pickles)}"
        raise RuntimeError(msg)
    open_modes(beside)
    shutil.rmtree(output / MODEL, ignore_errors=True)
    beside.replace(output / MODEL)
    return list_files(output / MODEL)


def finish(run: Run, training: dict[str, Any], metrics: dict[str, Any], files: list[dict[str, Any]]) -> None:
    """Write the result, then throw away what only training needed (checkpoints hold pickles)."""
    disk = sum(item["size_bytes"] for item in files)
    model = {"model_files": files, "weights_digest": digest_files(files), "model_path": MODEL, "disk_bytes": disk}
    limits = metrics.pop("limits", [])
    generations = metrics.pop("side_by_side", [])
    said = {"metrics": metrics, "limits": limits, "generations": generations}
    result = {"state": "finished", **said, **model, **training, **describe_use(run)}
    write_atomically(run.output / RESULT, canonical_bytes(result))
    run.events.write("finished", steps=training["steps"], weights_digest=model["weights_digest"])
    for folder in (*run.output.glob("checkpoint-*"), run.output / START, run.output / ".cache"):
        shutil.rmtree(folder, ignore_errors=True)
    (run.output / "README.md").unlink(missing_ok=True)  # the trainer's own card, which knows nothing of the release


def finish_early(run: Run, reason: str, training: dict[str, Any], why: str | None = None) -> None:
    """A cancelled run keeps its last checkpoint; a run out of time, or whose round was refused, has failed. One that nobody
    answered was lost by its service: it is started again from its checkpoint when a service is there."""
    state = {"cancelled": "cancelled", "unanswered": "lost"}.get(reason, "failed")
    detail = f"stopped at step {training['steps']} of {training['total_steps']}: {why or reason}"
    result = {"state": state, "code": f"run-{reason}", "detail": detail, **training, **describe_use(run)}
    write_atomically(run.output / RESULT, canonical_bytes(result))
    run.events.write(state, step=training["steps"], detail=detail)


def describe_use(run: Run) -> dict[str, Any]:
    """What the run has used so far, in this process and, as its checkpoint says, in those before."""
    wall, energy, peak = round(time.monotonic() - run.started, 2), run.meter.read(), peak_memory_bytes()
    if run.before:
        wall = round(wall + run.before["wall_seconds"], 2)
        energy = add_energy(energy, run.before["energy_kwh"])
        peak = max(peak, run.before["peak_memory_bytes"])
    return {"energy_kwh": energy, "wall_seconds": wall, "peak_memory_bytes": peak}


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "accelerate", "datasets")}
