"""What a run consumed: read off the batches that reached the model, in their order, not assumed from the seed.

- The loader fetches one batch ahead, which may never be trained on: `trained` says how many were.
- A batch may be packed: several samples in one row, each seeing only itself, so that no place is spent on padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

IGNORED = -100
_LISTS = ("batches", "tokens", "written", "scored")


@dataclass
class Consumed:
    """Batches in the order in which they were fetched: entry indices and tokens of each.

    `written` counts the tokens that the student wrote for a batch, `scored` those of the texts that the teacher scored before;
    `rounds` holds step, digest and samples of each on-policy round that was permitted.
    """

    batches: list[list[int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)
    trained: int = 0
    rounds: list[list[Any]] = field(default_factory=list)

    def add(self, indices: list[int], tokens: int) -> None:
        """Note a batch that was fetched."""
        for name, value in zip(_LISTS, (indices, tokens, 0, 0), strict=True):
            getattr(self, name).append(value)

    def cut(self) -> Consumed:
        """The batches that were trained on."""
        return Consumed(
            **{name: getattr(self, name)[: self.trained] for name in _LISTS}, trained=self.trained, rounds=self.rounds
        )

    def to_notes(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        kept = self.cut()
        return {name: getattr(kept, name) for name in (*_LISTS, "rounds")}

    def take_notes(self, notes: Any) -> None:
        """Go on from a checkpoint: a resumed loader passes over what was consumed without fetching it."""
        for name in (*_LISTS, "rounds"):
            getattr(self, name).extend(notes[name])
        self.trained = len(self.batches)

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
    """Notes which samples a batch holds, then pads it as TRL does, or packs it into rows of `pack_length`."""

    inner: Callable[[list[dict[str, Any]]], dict[str, Any]]
    consumed: Consumed
    pack_length: int | None = None

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Make one batch."""
        indices = [example["entry_index"] for example in examples]
        self.consumed.add(indices, sum(len(example["input_ids"]) for example in examples))
        plain = [{key: value for key, value in item.items() if key != "entry_index"} for item in examples]
        return self.inner(plain) if self.pack_length is None else pack_batch(plain, self.pack_length)


def pack_batch(examples: Sequence[dict[str, Any]], length: int) -> dict[str, torch.Tensor]:
    """Several samples a row, first fit in their order; the models' own masks keep apart what restarts its positions.

    Args:
        examples: each with `input_ids` and `labels` of the same number of tokens, at most `length`.
        length: tokens that a row may hold.
    Returns:
        `input_ids`, `labels` and `position_ids`, each [rows, tokens], int64. There is no attention mask: transformers derives
        it from the positions. What pads a row is a piece of its own without labels.
    """
    rows: list[list[tuple[list[int], list[int]]]] = []
    used: list[int] = []
    for example in examples:
        ids, labels = list(example["input_ids"]), list(example["labels"])
        labels[0] = IGNORED  # the last token of the sample before must not be asked for it
        place = next((row for row, size in enumerate(used) if size + len(ids) <= length), len(rows))
        if place == len(rows):
            rows.append([])
            used.append(0)
        rows[place].append((ids, labels))
        used[place] += len(ids)
    width = max(used)
    for row, size in zip(rows, used, strict=True):
        if size < width:
            row.append(([0] * (width - size), [IGNORED] * (width - size)))
    return {
        "input_ids": torch.tensor([[token for ids, _ in row for token in ids] for row in rows]),
        "labels": torch.tensor([[label for _, labels in row for label in labels] for row in rows]),
        "position_ids": torch.tensor([[place for ids, _ in row for place in range(len(ids))] for row in rows]),
    }


def gather(consumed: Consumed, world_size: int) -> Consumed:
    """Join the ranks' batches in the global order: batch 0 of every rank, then batch 1, and so on."""
    if world_size == 1:
        return consumed
    from accelerate.utils import gather_object

    everyone = gather_object([[getattr(consumed, name) for name in _LISTS]])
    merged = Consumed(trained=consumed.trained * world_size, rounds=consumed.rounds)
    for place in range(len(consumed.batches)):
        for lists in everyone:
            for name, values in zip(_LISTS, lists, strict=True):
                getattr(merged, name).append(values[place])
    return merged
