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
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes, parse_json
from provenance.errors import DigestMismatchError, MalformedError, ProvenanceError
from provenance.training.checkpoint import find_checkpoint
from provenance.training.energy import EnergyMeter
from provenance.training.events import EventLog
from provenance.training.extras import require
from provenance.training.files import write_atomically
from provenance.training.local import CANCEL, EVENTS, LOCK, RESULT, SECONDS_BEFORE
from provenance.training.outcome import (
    describe_consumed,
    describe_rounds,
    describe_training,
    describe_use,
    finish,
    finish_early,
    hold_out,
    save_model,
)
from provenance.training.plan import code_digest, parse_plan
from provenance.training.prepare import (
    START,
    Row,
    Run,
    describe_device,
    is_first,
    open_student,
    prepare_torch,
)
from provenance.training.recipe import WHITE_BOX, parse_config, settle_config
from provenance.training.released import read_rows, verify_release
from provenance.training.rounds import Answer, Round, RoundStopError, submit_round
from provenance.training.scalars import FOLDER, ScalarLog
from provenance.training.student import TOKEN_MAP


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
                config = settle_config(plan.recipe, parse_config(plan.config))
                run = Run(plan, config, output, events, time.monotonic(), EnergyMeter())
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
    from provenance.training.consumed import Consumed, gather
    from provenance.training.scorecard import Loaded, score_student
    from provenance.training.trainer import Watch, build_arguments, meet_others, train

    cuda = prepare_torch(plan)
    run.events.write(
        "started", train=len(train_rows), test=len(test_rows), device=describe_device(cuda), seed=plan.seed
    )
    model, tokenizer, facts = open_student(run, train_rows)
    run.events.write("built", parameters=facts.parameters, layers=list(facts.layers), tokens=facts.tokens)
    test_rows = test_rows[: run.config.test_samples]
    before = Loaded(model, tokenizer).score(test_rows, run.config.max_length) if is_first() else []
    checkpoint = find_checkpoint(run.output, delete_torn=is_first())
    if checkpoint is not None:
        run.events.write("resumed", step=checkpoint.step)
        run = replace(run, before=checkpoint.notes.get("used"))
    arguments = build_arguments(run.config, run.output, plan.seed, cuda=cuda)
    spent = float(checkpoint.notes["seconds"]) - float(os.environ.get(SECONDS_BEFORE, "0")) if checkpoint else 0.0
    watch = Watch(run.events, Consumed(), run.output / CANCEL, run.started + plan.deadline_seconds - spent)
    watch.use = partial(describe_use, run)
    watch.scalars = ScalarLog(run.output / FOLDER, checkpoint.step if checkpoint else 0) if is_first() else None
    trainer = make_trainer(run, Loaded(model, tokenizer), train_rows, arguments, watch)
    try:
        train(trainer, watch, checkpoint)
    except RoundStopError as exc:  # in every process: each was told the same
        watch.stopped, watch.detail = exc.reason, exc.detail
    consumed = gather(watch.consumed.cut(), arguments.world_size)
    first = trainer.is_world_process_zero()
    meet_others()  # what follows is the first process's alone
    if not first:
        return
    seconds = watch.seconds_before + time.monotonic() - watch.start
    training = describe_training(run, facts, trainer, seconds) | describe_consumed(run, facts, train_rows, consumed)
    training |= describe_rounds(run, consumed)
    if watch.stopped is not None:
        finish_early(run, watch.stopped, training, watch.detail)
        return
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if run.config.lora is not None:
        trained = trained.merge_and_unload()
    student = Loaded(trained.eval(), tokenizer)
    metrics = score_student(student, hold_out(run, test_rows), before, train_rows, training["tokens"])
    run.events.write("evaluated", gain=metrics.get("gain"), after=metrics.get("student_after"))
    files = save_model(run.output, trained, tokenizer)
    finish(run, training, metrics, files)


def make_trainer(run: Run, student: Any, rows: Sequence[Row], arguments: Any, watch: Any) -> Any:
    """The trainer of the recipe; a white-box one with the plan's teacher beside the student."""
    from provenance.training.trainer import build_trainer

    if run.plan.recipe not in WHITE_BOX:
        return build_trainer(student, rows, arguments, watch, run.config)
    from provenance.training.on_policy import OnPolicyTrainer
    from provenance.training.white_box import WhiteBoxTrainer, open_guide

    folder, digest = Path(run.plan.teacher_dir or ""), run.plan.teacher_digest or ""
    guide = open_guide(folder, digest, student.tokenizer, run.output / START / TOKEN_MAP, arguments.device)
    writing = run.config.on_policy
    kind = WhiteBoxTrainer if writing is None else OnPolicyTrainer
    trainer = build_trainer(student, rows, arguments, watch, run.config, kind=kind)
    trainer.guide, trainer.follow = guide, run.config.teacher
    if writing is not None:
        submit = make_submit(run, watch, writing.patience_seconds)
        trainer.begin(writing, longest=run.config.max_length, seed=run.plan.seed, submit=submit)
    return trainer


def make_submit(run: Run, watch: Any, patience: float) -> Callable[[Round], Answer]:
    """Hand a round out, and look for a reason to stop while it waits for its answer."""
    answers = Path(run.plan.answers_dir or "")

    def submit(said: Round) -> Answer:
        started = time.monotonic()
        answer = submit_round(run.output, answers, said, stop=watch.reason, patience_seconds=patience)
        waited = round(time.monotonic() - started, 3)
        run.events.write("round", step=said.step, written=len(said.samples), waited_seconds=waited)
        return answer

    return submit


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
