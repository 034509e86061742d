"""The training process: `python -m provenance.training.distill PLAN.json`.

1. Read the plan; check that the code is the code it names.
2. Verify the release: manifest and every shard; otherwise end with exit code 6 before anything is read.
3. Build the student (a cut of its base, or from nothing) from training texts only, and score it on held-out text.
4. Train with TRL, from the newest whole checkpoint if there is one; stop at a cancel file or at the deadline.
5. Score the trained student and the teacher, side by side.
6. Write the model folder (safetensors only) and `result.json`, each by a rename, the result last.

Exit codes: 0 finished or cancelled (the state stands in the result), 3 bad plan, 6 altered release, 1 everything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance.canonical import canonical_bytes, parse_json, sha256_digest
from provenance.errors import DigestMismatchError, MalformedError, ProvenanceError
from provenance.training.checkpoint import find_checkpoint
from provenance.training.energy import EnergyMeter, describe_processor, peak_memory_bytes
from provenance.training.events import EventLog
from provenance.training.extras import require
from provenance.training.files import digest_files, find_pickles, list_files, open_modes, write_atomically
from provenance.training.local import CANCEL, EVENTS, LOCK, RESULT
from provenance.training.plan import Plan, code_digest, format_plan, parse_plan
from provenance.training.recipe import RecipeConfig, parse_config
from provenance.training.released import read_rows, verify_release
from provenance.training.student import TOKEN_MAP, StudentFacts, build_scratch, build_student, count_parameters

if TYPE_CHECKING:
    from provenance.training.scorecard import HeldOut
    from provenance.training.trainer import Consumed

START, BUILT, MODEL = "student-start", "built.json", "model"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """What one process works with."""

    plan: Plan
    config: RecipeConfig
    output: Path
    events: EventLog
    started: float
    meter: EnergyMeter


def main(argv: list[str] | None = None) -> int:
    """Entry point: run the plan named on the command line."""
    arguments = sys.argv[1:] if argv is None else argv
    first = int(os.environ.get("RANK", "0")) == 0
    output: Path | None = None
    try:
        plan = parse_plan(Path(arguments[0]).read_bytes())
        output = Path(plan.output_dir)
        with _alone(output, first) as done:
            if not done:
                events = EventLog(output / EVENTS, enabled=first)
                run = Run(plan, parse_config(plan.config), output, events, time.monotonic(), EnergyMeter())
                distill(run)
    except Exception as exc:  # noqa: BLE001  # the run must end in a recorded state whatever happened
        traceback.print_exc()
        return _fail(exc, output if first else None)
    return 0


@contextlib.contextmanager
def _alone(output: Path, first: bool) -> Iterator[bool]:
    """One trainer a folder: a service killed between starting one and noting it would start a second. It waits here, and
    finds the run done (True), or goes on from where the first was killed."""
    with (output / LOCK).open("w") as lock:
        if first:
            fcntl.flock(lock, fcntl.LOCK_EX)
        result = output / RESULT
        yield first and result.is_file() and parse_json(result.read_bytes()).get("state") == "finished"


def _fail(exc: Exception, output: Path | None) -> int:
    detail = exc.detail if isinstance(exc, ProvenanceError) else f"{type(exc).__name__}: {exc}"
    code = exc.code if isinstance(exc, ProvenanceError) else "training-failed"
    if output is not None and output.is_dir():
        EventLog(output / EVENTS).write("failed", code=code, detail=detail)
        write_atomically(output / RESULT, canonical_bytes({"state": "failed", "code": code, "detail": detail}))
    return exc.exit_code if isinstance(exc, ProvenanceError) else 1


def distill(run: Run) -> None:
    """Carry out the plan; see the module's steps."""
    require()
    plan, release = run.plan, Path(run.plan.release_dir)
    (run.output / RESULT).unlink(missing_ok=True)
    if plan.code_digest is not None and plan.code_digest != code_digest():
        raise DigestMismatchError(f"code_digest: the plan names {plan.code_digest}, this code is {code_digest()}")
    verify_release(release, plan.release_digest)
    train_rows, test_rows = read_rows(release, "train"), read_rows(release, "test")
    if not train_rows:
        raise MalformedError(f"{release}: the release has no training samples")
    # Heavy imports only now: an altered release is refused in a second.
    from provenance.training.scorecard import Loaded, score_student
    from provenance.training.trainer import Consumed, Watch, build_arguments, build_trainer, gather, meet_others, train

    cuda = prepare_torch(plan)
    run.events.write(
        "started", train=len(train_rows), test=len(test_rows), device=describe_device(cuda), seed=plan.seed
    )
    model, tokenizer, facts = open_student(run, train_rows)
    run.events.write("built", parameters=facts.parameters, layers=list(facts.layers), tokens=facts.tokens)
    test_rows = test_rows[: run.config.test_samples]
    before = Loaded(model, tokenizer).score(test_rows, run.config.max_length) if _is_first() else []
    checkpoint = find_checkpoint(run.output, delete_torn=_is_first())
    if checkpoint is not None:
        run.events.write("resumed", step=checkpoint.step)
    arguments = build_arguments(run.config, run.output, plan.seed, cuda=cuda)
    spent = float(checkpoint.notes["seconds"]) if checkpoint else 0.0
    watch = Watch(run.events, Consumed(), run.output / CANCEL, run.started + plan.deadline_seconds - spent)
    trainer = build_trainer(Loaded(model, tokenizer), train_rows, arguments, watch, run.config)
    consumed = gather(train(trainer, watch, checkpoint), arguments.world_size)
    first = trainer.is_world_process_zero()
    meet_others()  # what follows is the first process's alone
    if not first:
        return
    seconds = watch.seconds_before + time.monotonic() - watch.start
    training = describe_training(run, facts, trainer, seconds) | describe_consumed(facts, train_rows, consumed)
    if watch.stopped is not None:
        finish_early(run, watch.stopped, training)
        return
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if run.config.lora is not None:
        trained = trained.merge_and_unload()
    student = Loaded(trained.eval(), tokenizer)
    metrics = score_student(student, hold_out(run, test_rows), before, train_rows, training["tokens"])
    run.events.write("evaluated", gain=metrics.get("gain"), after=metrics.get("student_after"))
    files = save_model(run.output, trained, tokenizer)
    finish(run, training, metrics, files)


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
        if not _is_first():
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


def describe_consumed(facts: StudentFacts, rows: Sequence[Row], consumed: Consumed) -> dict[str, Any]:
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
        "flops": {"method": "6ND", "value": 6 * facts.parameters * tokens},
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
    result = {"state": "finished", **said, **model, **training, **_used(run)}
    write_atomically(run.output / RESULT, canonical_bytes(result))
    run.events.write("finished", steps=training["steps"], weights_digest=model["weights_digest"])
    for folder in (*run.output.glob("checkpoint-*"), run.output / START, run.output / ".cache"):
        shutil.rmtree(folder, ignore_errors=True)
    (run.output / "README.md").unlink(missing_ok=True)  # the trainer's own card, which knows nothing of the release


def finish_early(run: Run, reason: str, training: dict[str, Any]) -> None:
    """A cancelled run keeps its last checkpoint; a run out of time has failed."""
    state = "cancelled" if reason == "cancelled" else "failed"
    detail = f"stopped at step {training['steps']} of {training['total_steps']}: {reason}"
    result = {"state": state, "code": f"run-{reason}", "detail": detail, **training, **_used(run)}
    write_atomically(run.output / RESULT, canonical_bytes(result))
    run.events.write(state, step=training["steps"], detail=detail)


def _used(run: Run) -> dict[str, Any]:
    wall = round(time.monotonic() - run.started, 2)
    return {"energy_kwh": run.meter.read(), "wall_seconds": wall, "peak_memory_bytes": peak_memory_bytes()}


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "accelerate", "datasets")}


def _is_first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def leave(code: int) -> None:
    """End the process. One of several ends at once: taking the group apart in order aborts or hangs now and then, when
    the processes do it at different times (seen with gloo), and everything has been written by now."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


if __name__ == "__main__":
    leave(main())
