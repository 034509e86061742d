"""Training against a teacher's own distribution: the teacher opened and checked, and the trainer whose loss follows it.

- The teacher is a folder of weights, run here, never trained. Its vocabulary must be the student's, or hold it: a cut student
  has some of the tokens, and the teacher's distribution is renormalised on them.
- Only completions count, as in `sft`. The loss is a sum over tokens, divided by those of all accumulated batches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from provenance.errors import DigestMismatchError
from provenance.training.consumed import IGNORED
from provenance.training.files import digest_files, list_files
from provenance.training.generate import load_model
from provenance.training.losses import keep_top, mix_losses, select, token_divergences
from provenance.training.recipe import TeacherConfig
from provenance.training.trainer import ReleasedTrainer
from provenance.training.vocabulary import check_tokens

MODEL_INPUTS = ("input_ids", "attention_mask", "position_ids")


class Guide:
    """A teacher beside the student: the logits that it gives for the student's tokens."""

    def __init__(self, model: Any, token_map: torch.Tensor | None) -> None:
        self.model = model
        self._map = token_map

    @torch.no_grad()
    def logits(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Logits at every place, over the student's tokens in the student's order.

        Args:
            inputs: `input_ids` [batch, tokens] in the student's numbers, with mask or positions beside it.
        Returns:
            [batch, tokens, vocab], float; without a map the vocabulary may be padded to another width than the student's.
        """
        ids = inputs["input_ids"]
        passed = {name: inputs[name] for name in MODEL_INPUTS[1:] if name in inputs}
        found: torch.Tensor = self.model(
            input_ids=ids if self._map is None else self._map[ids], use_cache=False, **passed
        ).logits
        return found if self._map is None else found[..., self._map]


def open_guide(folder: Path, digest: str, tokenizer: Any, token_map: Path, device: Any) -> Guide:
    """Open the teacher of a plan.

    Args:
        digest: what the plan says of the folder's files; nothing else is loaded.
        tokenizer: the student's.
        token_map: the file with the teacher's id of each of the student's tokens, where the student is a cut.
    Raises:
        DigestMismatchError: the teacher is not the one that the plan names.
        MalformedError: teacher and student do not share a vocabulary.
    """
    found = digest_files(list_files(folder))
    if found != digest:
        raise DigestMismatchError(f"teacher_digest: the plan names {digest}, {folder} is {found}")
    model, theirs = load_model(folder)
    mapped = json.loads(token_map.read_text("utf-8")) if token_map.is_file() else None
    check_tokens(tokenizer.get_vocab(), theirs.get_vocab(), mapped)
    model.requires_grad_(False)
    return Guide(model.to(device), None if mapped is None else torch.tensor(mapped, device=device))


class WhiteBoxTrainer(ReleasedTrainer):
    """TRL's trainer with the loss of `kd` and `on-policy`: divergence from the teacher, mixed with cross-entropy."""

    guide: Guide
    follow: TeacherConfig

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean nats per labelled token of all accumulated batches (of all processes)."""
        passed = {name: inputs[name] for name in MODEL_INPUTS if name in inputs}
        outputs = model(**passed, use_cache=False)
        losses = self._losses(outputs.logits, self.guide.logits(passed), inputs["labels"])
        count = len(losses) if num_items_in_batch is None else num_items_in_batch
        loss = losses.sum() / torch.as_tensor(count, device=losses.device).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over processes, the count is of all
        return (loss, outputs) if return_outputs else loss

    def _losses(self, student: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """[labelled tokens], nats."""
        follow, alpha = self.follow, self.follow.alpha or 0.0
        width = min(
            student.shape[-1], teacher.shape[-1]
        )  # beyond the shared tokens there is only padding of the matrices
        ours, theirs = (select(logits[..., :width], labels).float() for logits in (student, teacher))
        targets = labels[:, 1:][labels[:, 1:] != IGNORED]
        hard = torch.nn.functional.cross_entropy(ours, targets, reduction="none")
        pair = (ours, theirs) if follow.top_k is None else keep_top(ours, theirs, follow.top_k)
        soft = token_divergences(
            *pair,
            follow.divergence,  # type: ignore[arg-type]  # one of the words, checked with the settings
            beta=follow.beta,
            temperature=follow.temperature,
        )
        for name, values in (("cross_entropy", hard), ("divergence", soft)):
            if len(values):
                self._metrics["train"][name].append(float(values.detach().mean()))
        return mix_losses(hard, soft, alpha)
