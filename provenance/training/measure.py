"""Run models over held-out samples: sums for `evaluation`, speed, and texts side by side. Needs torch.

- The student is scored in its own tokenizer and the teacher in its own; they meet in bits per character.
- Agreement and divergence need one vocabulary: they are taken on the student's pieces, the teacher's distribution cut to them and
  renormalised. How much of the teacher's mass the cut leaves out is measured too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from provenance.training.evaluation import Comparison, Score
from provenance.training.generate import Sampling, decode_batch
from provenance.training.losses import select

BATCH = 4
IGNORED = -100


@dataclass(frozen=True)
class Encoded:
    """One sample as token ids: prompt with the chat template, then completion; only the latter counts."""

    prompt: list[int]
    completion: list[int]
    characters: int


def encode_sample(tokenizer: Any, row: Mapping[str, Any], max_length: int) -> Encoded:
    """Token ids of one released sample, cut to `max_length`; characters are the completion's, its end mark not counted."""
    prompt, completion = render_sample(tokenizer, row)
    first = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    second = tokenizer(completion, add_special_tokens=False)["input_ids"]
    kept = second[: max(0, max_length - len(first))]
    characters = sum(len(message["content"]) for message in row["completion"])
    if len(kept) < len(second):
        characters = max(1, characters * len(kept) // len(second))
    return Encoded(first[:max_length], kept, characters)


def render_sample(tokenizer: Any, row: Mapping[str, Any]) -> tuple[str, str]:
    """Prompt and completion as the model reads them."""
    prompt: str = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    whole: str = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
    return prompt, whole[len(prompt) :]


def _pad_right(samples: Sequence[Encoded], device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    width = max(len(sample.prompt) + len(sample.completion) for sample in samples)
    ids = torch.zeros((len(samples), width), dtype=torch.long)
    labels = torch.full((len(samples), width), IGNORED)
    mask = torch.zeros((len(samples), width), dtype=torch.long)
    for place, sample in enumerate(samples):
        start, end = len(sample.prompt), len(sample.prompt) + len(sample.completion)
        ids[place, :end] = torch.tensor(sample.prompt + sample.completion)
        labels[place, start:end] = torch.tensor(sample.completion)
        mask[place, :end] = 1
    return ids.to(device), labels.to(device), mask.to(device)


@torch.inference_mode()
def score_samples(model: Any, samples: Sequence[Encoded]) -> list[Score]:
    """Nats of each completion under the model."""
    scores = []
    for start in range(0, len(samples), BATCH):
        chunk = samples[start : start + BATCH]
        ids, labels, mask = _pad_right(chunk, model.device)
        logits = model(input_ids=ids, attention_mask=mask).logits
        for place, sample in enumerate(chunk):
            row = labels[place : place + 1]
            kept = select(logits[place : place + 1], row).float()
            targets = row[:, 1:][row[:, 1:] != IGNORED]
            nats = torch.nn.functional.cross_entropy(kept, targets, reduction="sum")
            scores.append(Score(float(nats), len(targets), sample.characters))
    return scores


@torch.inference_mode()
def compare_samples(
    student: Any, teacher: Any, samples: Sequence[Encoded], token_map: Sequence[int]
) -> list[Comparison]:
    """Student against teacher on the student's pieces; `token_map[i]` is the teacher's id of the student's token i."""
    new_to_old = torch.tensor(list(token_map), device=teacher.device)
    compared = []
    for start in range(0, len(samples), BATCH):
        ids, labels, mask = _pad_right(samples[start : start + BATCH], student.device)
        ours = student(input_ids=ids, attention_mask=mask).logits
        theirs = teacher(input_ids=new_to_old[ids], attention_mask=mask).logits
        for place in range(len(ids)):
            row = labels[place : place + 1]
            whole = select(theirs[place : place + 1], row).float().log_softmax(-1)
            cut = whole[:, new_to_old]
            compared.append(_compare(select(ours[place : place + 1], row).float(), cut))
    return compared


def _compare(student_logits: torch.Tensor, teacher_log_probabilities: torch.Tensor) -> Comparison:
    inside = teacher_log_probabilities.logsumexp(-1)
    teacher = teacher_log_probabilities.log_softmax(-1)
    student = student_logits.log_softmax(-1)
    best = teacher.argmax(-1, keepdim=True)
    top = student.topk(min(5, student.shape[-1]), dim=-1).indices
    return Comparison(
        tokens=len(best),
        agreed=float((top[:, :1] == best).sum()),
        agreed_top5=float((top == best).any(-1).sum()),
        kl_nats=float((teacher.exp() * (teacher - student)).sum()),
        outside=float((1 - inside.exp()).clamp(min=0).sum()),
    )


def generate_texts(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[Mapping[str, str]]], max_tokens: int
) -> list[str]:
    """Greedy completions of conversations."""
    ids = [_conversation(tokenizer, prompt) for prompt in prompts]
    written: list[list[int]] = [[] for _ in prompts]

    def take(row: int, token: int) -> bool:
        if token == tokenizer.eos_token_id:
            return False
        written[row].append(token)
        return len(written[row]) < max_tokens

    decode_batch(model, ids, [Sampling()] * len(ids), take, tokenizer.pad_token_id or 0)
    return [tokenizer.decode(tokens, skip_special_tokens=True).strip() for tokens in written]


def measure_speed(model: Any, tokenizer: Any, prompt: Sequence[Mapping[str, str]], tokens: int) -> dict[str, Any]:
    """Seconds to the first token and tokens per second after it, one request alone, end of text ignored."""
    ids = _conversation(tokenizer, prompt)
    times = [time.perf_counter()]

    def take(row: int, token: int) -> bool:  # noqa: ARG001  # the decoder's signature
        times.append(time.perf_counter())
        return len(times) <= tokens

    decode_batch(model, [ids], [Sampling()], take, tokenizer.pad_token_id or 0)
    span = max(1e-9, times[-1] - times[1])
    return {
        "first_token_seconds": times[1] - times[0],
        "tokens_per_second": (len(times) - 2) / span,
        "n_tokens": tokens,
    }


def _conversation(tokenizer: Any, prompt: Sequence[Mapping[str, str]]) -> list[int]:
    encoded = tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, return_dict=True)
    return list(encoded["input_ids"])
