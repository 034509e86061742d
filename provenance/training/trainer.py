"""Set up TRL's trainer for a recipe, and watch it: live events, sealed checkpoints, cancel and deadline, what was consumed.

- One script for CPU, one GPU and several: bf16 and pinned memory on CUDA only, everything stated because TRL's defaults differ.
- What was consumed is noted batch by batch (see `consumed`), and travels with the checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from provenance.training.checkpoint import Checkpoint, seal_checkpoint
from provenance.training.consumed import Consumed, Recording, RecordingCollator
from provenance.training.events import EventLog
from provenance.training.gpus import read_gpus
from provenance.training.recipe import RecipeConfig
from provenance.training.scalars import ScalarLog
from provenance.training.scorecard import Loaded

MEASURED = ("memory_used_bytes", "utilisation")


class ReleasedTrainer(SFTTrainer):
    """TRL's trainer over released rows; it counts the batches that it trained on."""

    consumed: Consumed

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """One forward and backward pass."""
        loss = super().training_step(*args, **kwargs)  # type: ignore[no-untyped-call]  # trl's
        self.consumed.trained += 1
        return loss


@dataclass
class Watch(TrainerCallback):
    """Writes events and seals checkpoints; stops the trainer when a cancel file appears or time is up."""

    events: EventLog
    consumed: Consumed
    cancel_file: Path
    deadline: float
    seconds_before: float = 0.0
    use: Callable[[], Mapping[str, Any]] = dict
    scalars: ScalarLog | None = None
    start: float = field(default_factory=time.monotonic)
    first_step: int = 0
    first_batch: int = 0
    stopped: str | None = None
    detail: str | None = None

    def reason(self) -> str | None:
        """Why the run should stop now, or None."""
        if self.cancel_file.exists():
            return "cancelled"
        return "deadline" if time.monotonic() > self.deadline else None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002  # the callback's signature
        """Steps done before this process do not count into its speed."""
        self.first_step, self.first_batch = state.global_step, self.consumed.trained
        self.start = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002  # the callback's signature
        """Look for a reason to stop; a checkpoint is written first, so that a cancelled run can go on."""
        self.stopped = self.reason()
        if self.stopped is not None:
            control.should_training_stop = True
            control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  # the callback's signature
        logs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """One `step` event for each loss that is logged."""
        if not logs or "loss" not in logs:
            return
        done = state.global_step - self.first_step
        elapsed = max(1e-9, time.monotonic() - self.start)
        tokens = sum(self.consumed.tokens[self.first_batch : self.consumed.trained]) * args.world_size
        numbers = {
            "loss": round(float(logs["loss"]), 5),
            "lr": logs.get("learning_rate"),
            "tokens_per_second": round(tokens / elapsed, 1),
            "eta_seconds": round(elapsed / max(1, done) * (state.max_steps - state.global_step), 1),
            "elapsed_seconds": round(self.seconds_before + elapsed, 1),
            **{name: round(float(logs[name]), 5) for name in ("divergence", "cross_entropy") if name in logs},
        }
        self._tell(state, numbers)

    def _tell(self, state: TrainerState, numbers: Mapping[str, Any]) -> None:
        """The same numbers as an event and as scalars, with what the GPUs say."""
        if not state.is_world_process_zero:
            return
        gpus = read_gpus()
        said = {"gpus": gpus} if gpus else {}
        self.events.write("step", step=state.global_step, total=state.max_steps, **numbers, **said)
        if self.scalars is not None:
            measured = {f"gpu{item['gpu']}/{name}": item[name] for item in gpus for name in MEASURED if name in item}
            plain = {f"train/{name}": value for name, value in numbers.items() if value is not None}
            self.scalars.write(state.global_step, plain | measured)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002  # the callback's signature
        """Mark the checkpoint as whole, with what a resumed run must know."""
        if not state.is_world_process_zero or args.output_dir is None:
            return
        seconds = self.seconds_before + time.monotonic() - self.start
        notes = self.consumed.to_notes() | {"seconds": seconds, "used": dict(self.use())}
        seal_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}", notes)
        self.events.write("checkpoint", step=state.global_step)


def build_arguments(config: RecipeConfig, output_dir: Path, seed: int, *, cuda: bool) -> SFTConfig:
    """TRL's settings for a recipe."""
    return SFTConfig(
        output_dir=str(output_dir),
        seed=seed,
        data_seed=seed,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_share,  # below 1: a share of all steps
        lr_scheduler_type="cosine",
        max_length=config.max_length,
        logging_steps=config.log_steps,
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=2,
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=False,
        dataloader_pin_memory=cuda,
        dataloader_num_workers=0,
        disable_tqdm=True,
        report_to=list(config.report_to),
        eos_token=None,
    )


def build_trainer(
    student: Loaded,
    rows: Sequence[Mapping[str, Any]],
    arguments: SFTConfig,
    watch: Watch,
    config: RecipeConfig,
    *,
    kind: type[ReleasedTrainer] = ReleasedTrainer,
) -> Any:
    """The trainer over released rows, with the recording of what it consumes."""
    dataset = Dataset.from_list([{"prompt": row["prompt"], "completion": row["completion"]} for row in rows])
    trainer: Any = kind(
        model=student.model,
        args=arguments,
        train_dataset=dataset,
        processing_class=student.tokenizer,
        callbacks=[watch],
        peft_config=_lora(config),
    )
    indices = [int(row["entry_index"]) for row in rows]
    kept = len(trainer.train_dataset)
    if kept != len(indices):
        msg = f"the trainer kept {kept} of {len(indices)} samples; what is consumed must be what was released"
        raise RuntimeError(msg)
    trainer.train_dataset = Recording(trainer.train_dataset, indices)
    trainer.consumed = watch.consumed
    packed = config.max_length if config.packing else None
    trainer.data_collator = RecordingCollator(trainer.data_collator, watch.consumed, packed)
    trainer.args.remove_unused_columns = False  # the entry index is removed by the collator, after it was noted
    return trainer


def _lora(config: RecipeConfig) -> Any:
    if config.lora is None:
        return None
    from peft import LoraConfig

    chosen = config.lora
    return LoraConfig(
        r=chosen.rank,
        lora_alpha=chosen.alpha,
        lora_dropout=chosen.dropout,
        target_modules=list(chosen.target_modules),
        task_type="CAUSAL_LM",
    )


def train(trainer: Any, watch: Watch, checkpoint: Checkpoint | None) -> None:
    """Train to the end or to a stop, from a checkpoint if there is one; `watch.consumed` counts earlier processes in."""
    if checkpoint is not None:
        watch.consumed.take_notes(checkpoint.notes)
        watch.seconds_before = float(checkpoint.notes["seconds"])
        state = TrainerState.load_from_json(str(checkpoint.folder / "trainer_state.json"))
        if (
            state.global_step >= state.max_steps
        ):  # killed while it was evaluated: transformers would train one step more
            trainer.state = state
            trainer._load_from_checkpoint(str(checkpoint.folder))
            return
    trainer.train(resume_from_checkpoint=str(checkpoint.folder) if checkpoint else None)


def meet_others() -> None:
    """Wait until every process has come here: one that ends while others still exchange tensors takes the run down."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
