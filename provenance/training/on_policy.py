"""On-policy training (GKD, Agarwal et al. 2024, algorithm 1): the student writes, the teacher scores, both are recorded first.

- Which prompts the student answers itself, and every token that it draws, follow from seed, batch and sample: a resumed run
  writes the same rounds again.
- A round is written by the weights of its first step, handed out, and trained on only when its answer permits it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.training.consumed import IGNORED
from provenance.training.generate import Sampling, decode_batch
from provenance.training.losses import select
from provenance.training.recipe import OnPolicyConfig
from provenance.training.rounds import Answer, Round, RoundStopError, Written
from provenance.training.white_box import WhiteBoxTrainer


@dataclass(frozen=True)
class Own:
    """One row of a batch that the student answers itself: its prompt, and the tokens that it wrote."""

    row: int
    entry_index: int
    prompt: list[int]
    ids: list[int] = field(default_factory=list)


class OnPolicyTrainer(WhiteBoxTrainer):
    """The white-box trainer over rounds. `submit` hands a round out and gives the answer, or raises `RoundStopError`."""

    writing: OnPolicyConfig
    submit: Callable[[Round], Answer]
    seed: int
    longest: int
    words: Any
    _queue: deque[list[dict[str, Any]]]

    def begin(self, writing: OnPolicyConfig, *, longest: int, seed: int, submit: Callable[[Round], Answer]) -> None:
        """Set what the rounds follow; called once, before training."""
        self.writing, self.longest, self.seed, self.submit = writing, longest, seed, submit
        self.words, self._queue = self.processing_class, deque()

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> Any:
        """The batches of one step; at the beginning of a round those of all its steps are fetched and written."""
        if not self._queue:
            self._open_round(epoch_iterator, num_batches)
        batches = self._queue.popleft() if self._queue else []
        return batches, self._get_num_items_in_batch(batches, device)

    def _open_round(self, epoch_iterator: Iterator[Any], num_batches: int) -> None:
        # A round ends at a multiple of `round_steps`, also where an epoch cut one short: checkpoints lie between rounds.
        done = self.state.global_step
        left = self.writing.round_steps - done % self.writing.round_steps
        for _ in range(min(left, self.state.max_steps - done)):
            step = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
            if step:
                self._queue.append(step)
        written: list[Written] = []
        # Nothing is queued at first, so all that was fetched before was trained on: that is where this round begins.
        for place, batch in enumerate((batch for step in self._queue for batch in step), self.consumed.trained):
            own = self._choose(batch, place)
            if own:
                self._write(own, place)
                written += self._replace(batch, own, place)
        self._hand_out(written)

    def _choose(self, batch: dict[str, Any], place: int) -> list[Own]:
        """The rows of a batch that the student answers itself: each by a draw of its own, in the share that is asked for."""
        chosen = []
        for row, entry in enumerate(self.consumed.batches[place]):
            labels = batch["labels"][row].tolist()
            start = next((at for at, label in enumerate(labels) if label != IGNORED), None)
            if start is not None and self._draw("share", place, entry) < self.writing.share * 2**64:
                chosen.append(Own(row, entry, batch["input_ids"][row, :start].tolist()))
        return chosen

    def _draw(self, purpose: str, place: int, entry: int) -> int:
        """A number below 2^64 that depends on seed, process, batch and sample alone."""
        said = f"{purpose}:{self.seed}:{self.args.process_index}:{place}:{entry}"
        return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big")

    def _write(self, own: Sequence[Own], place: int) -> None:
        """Let the student answer the chosen prompts of one batch, without dropout."""
        temperature, words = self.writing.temperature, self.words
        seeds = [self._draw("token", place, item.entry_index) % 2**63 for item in own]
        samplings = [Sampling(temperature=temperature, seed=seed) for seed in seeds]
        room = [max(1, min(self.writing.max_new_tokens, self.longest - len(item.prompt))) for item in own]

        def take(row: int, token: int) -> bool:
            own[row].ids.append(token)
            return token != words.eos_token_id and len(own[row].ids) < room[row]

        model = self.accelerator.unwrap_model(self.model)
        model.eval()
        with self.accelerator.autocast():
            decode_batch(model, [item.prompt for item in own], samplings, take, words.pad_token_id or 0)
        model.train()

    def _replace(self, batch: dict[str, Any], own: Sequence[Own], place: int) -> list[Written]:
        """Put what was written in place of the released completions, and let the teacher score it."""
        mine = {item.row: item for item in own}
        rows = []
        for row, mask in enumerate(batch["attention_mask"].bool()):
            ids, labels = batch["input_ids"][row][mask].tolist(), batch["labels"][row][mask].tolist()
            if row in mine:
                ids, labels = mine[row].prompt + mine[row].ids, [IGNORED] * len(mine[row].prompt) + mine[row].ids
            rows.append((ids, labels))
        batch |= _pad(rows, batch["input_ids"].device)
        with self.accelerator.autocast():
            logits = self.guide.logits(batch)
        self.consumed.tokens[place] = self.consumed.scored[place] = sum(len(ids) for ids, _ in rows)
        self.consumed.written[place] = sum(len(item.ids) for item in own)
        return [
            self._describe(item, logits[row : row + 1], batch["labels"][row : row + 1]) for row, item in mine.items()
        ]

    def _describe(self, item: Own, logits: torch.Tensor, labels: torch.Tensor) -> Written:
        kept = select(logits, labels).float()
        targets = labels[:, 1:][labels[:, 1:] != IGNORED]
        nats = torch.nn.functional.cross_entropy(kept, targets, reduction="sum")
        text = self.words.decode(item.ids, skip_special_tokens=True)
        digest = sha256_digest(canonical_bytes(item.ids))
        return Written(item.entry_index, text, len(item.ids), round(float(nats), 4), digest)

    def _hand_out(self, written: list[Written]) -> None:
        """All processes' samples in one round: the first hands it out, and all do what the answer says."""
        from accelerate.utils import broadcast_object_list, gather_object

        everyone = gather_object(written) if self.args.world_size > 1 else written
        if not everyone:
            return
        said = Round(self.state.global_step, self.writing.temperature, everyone)
        answer: list[Any] = [None]
        if self.is_world_process_zero():
            answer = [self._ask(said)]
        if self.args.world_size > 1:
            broadcast_object_list(answer)
        if isinstance(answer[0], RoundStopError):
            raise answer[0]
        self.consumed.rounds.append([said.step, answer[0].digest, len(everyone)])

    def _ask(self, said: Round) -> Answer | RoundStopError:
        try:
            found: Answer = self.submit(said)
        except RoundStopError as exc:
            return exc
        return found


def _pad(rows: Sequence[tuple[list[int], list[int]]], device: Any) -> dict[str, torch.Tensor]:
    width = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows], device=device),
        "labels": torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows], device=device),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows], device=device),
    }
