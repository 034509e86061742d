"""Set up TRL's trainer for a recipe, and watch it: live events, sealed checkpoints, cancel and deadline, what was consumed.

- One script for CPU, one GPU and several: bf16 and pinned memory on CUDA only, everything stated because TRL's defaults differ.
- The order in which samples were consumed is read off the batches that reached the model, not assumed from the seed.
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
from provenance.training.events import EventLog
from provenance.training.recipe import RecipeConfig
from provenance.training.scorecard import Loaded


@dataclass
class Consumed:
    """Batches in the order in which they were fetched: entry indices and tokens of each."""

    batches: list[list[int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def cut(self, count: int) -> Consumed:
        """The first `count` batches: the loader fetches one ahead, which is never trained on."""
        return Consumed(self.batches[:count], self.tokens[:count])

    @property
    def indices(self) -> list[int]:
        """Entry indices, one for each time a sample was trained on."""
        return [index for batch in self.batches for index in batch]


class Recording(torch.utils.data.Dataset[dict[str, Any]]):
    """The tokenised samples, each with its entry index beside it."""

    def __init__(self, inner: Any, indices: Sequence[int]) -> None:
        self._inner = inner
        self._indices = indices

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return dict(self._inner[place]) | {"entry_index": self._indices[place]}


@dataclass
class RecordingCollator:
    """Notes which samples a batch holds, then pads it as TRL does."""

    inner: Callable[[list[dict[str, Any]]], dict[str, Any]]
    consumed: Consumed

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Pad one batch."""
        self.consumed.batches.append([example["entry_index"] for example in examples])
        self.consumed.tokens.append(sum(len(example["input_ids"]) for example in examples))
        return self.inner([{key: value for key, value in item.items() if key != "entry_index"} for item in examples])


@dataclass
class Watch(TrainerCallback):
    """Writes events and seals checkpoints; stops the trainer when a cancel file appears or time is up."""

    events: EventLog
    consumed: Consumed
    cancel_file: Path
    deadline: float
    seconds_before: float = 0.0
    start: float = field(default_factory=time.monotonic)
    first_step: int = 0
    stopped: str | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002  # the callback's signature
        """Steps done before this process do not count into its speed."""
        self.first_step = state.global_step
        self.start = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002  # the callback's signature
        """Look for a reason to stop; a checkpoint is written first, so that a cancelled run can go on."""
        if self.cancel_file.exists():
            self.stopped = "cancelled"
        elif time.monotonic() > self.deadline:
            self.stopped = "deadline"
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
        batches = state.global_step * args.gradient_accumulation_steps
        before = self.first_step * args.gradient_accumulation_steps
        tokens = sum(self.consumed.tokens[before:batches]) * args.world_size
        self.events.write(
            "step",
            step=state.global_step,
            total=state.max_steps,
            loss=round(float(logs["loss"]), 5),
            lr=logs.get("learning_rate"),
            tokens_per_second=round(tokens / elapsed, 1),
            eta_seconds=round(elapsed / max(1, done) * (state.max_steps - state.global_step), 1),
            elapsed_seconds=round(self.seconds_before + elapsed, 1),
        )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002  # the callback's signature
        """Mark the checkpoint as whole, with what a resumed run must know."""
        if not state.is_world_process_zero or args.output_dir is None:
            return
        kept = self.consumed.cut(state.global_step * args.gradient_accumulation_steps)
        seconds = self.seconds_before + time.monotonic() - self.start
        notes = {"batches": kept.batches, "tokens": kept.tokens, "seconds": seconds}
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
        report_to=[],
        eos_token=None,
    )


def build_trainer(
    student: Loaded, rows: Sequence[Mapping[str, Any]], arguments: SFTConfig, watch: Watch, config: RecipeConfig
) -> Any:
    """The trainer over released rows, with the recording of what it consumes."""
    dataset = Dataset.from_list([{"prompt": row["prompt"], "completion": row["completion"]} for row in rows])
    trainer: Any = SFTTrainer(
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
    trainer.data_collator = RecordingCollator(trainer.data_collator, watch.consumed)
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


def train(trainer: Any, watch: Watch, checkpoint: Checkpoint | None) -> Consumed:
    """Train to the end or to a stop, from a checkpoint if there is one; what was consumed, earlier processes included.

    On resume the loader passes over the batches that were consumed already without fetching them, so the notes of the
    checkpoint stand in for them.
    """
    if checkpoint is not None:
        watch.consumed.batches.extend(checkpoint.notes["batches"])
        watch.consumed.tokens.extend(checkpoint.notes["tokens"])
        watch.seconds_before = float(checkpoint.notes["seconds"])
    trainer.train(resume_from_checkpoint=str(checkpoint.folder) if checkpoint else None)
    return watch.consumed.cut(trainer.state.global_step * trainer.args.gradient_accumulation_steps)


def meet_others() -> None:
    """Wait until every process has come here: one that ends while others still exchange tensors takes the run down."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def gather(consumed: Consumed, world_size: int) -> Consumed:
    """Join the ranks' batches in the global order: batch 0 of every rank, then batch 1, and so on."""
    if world_size == 1:
        return consumed
    from accelerate.utils import gather_object

    everyone = gather_object([(consumed.batches, consumed.tokens)])
    merged = Consumed()
    for place in range(len(consumed.batches)):
        for batches, tokens in everyone:
            merged.batches.append(batches[place])
            merged.tokens.append(tokens[place])
    return merged
