"""Batched generation with per-request sampling: one forward pass a step for up to `max_batch` requests.

- Left padding with explicit position ids: a request's text does not depend on how long its neighbours are (up to float
  rounding).
- Each request has its own random generator; a seed repeats its text on the same machine, engine version and batch shape.
- Finished rows leave the batch and its cache, so a short answer never pays for a long one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

NUCLEUS_CANDIDATES = 1024


@dataclass(frozen=True)
class Sampling:
    """How one request wants its tokens chosen; `temperature` 0 is greedy, `seed` None is not repeatable."""

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


def choose_device() -> tuple[torch.device, torch.dtype]:
    """CUDA with bf16 where there is a GPU, else the CPU with fp32."""
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.bfloat16
    return torch.device("cpu"), torch.float32


def load_model(folder: Path) -> tuple[Any, Any]:
    """Model (for evaluation, on the chosen device) and tokenizer of a local folder; nothing is fetched, no code in it runs."""
    device, dtype = choose_device()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    return model.to(device).eval(), tokenizer


def choose_token(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """The next token of one row.

    Args:
        logits: [vocab], float32.
    """
    if sampling.temperature <= 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / sampling.temperature, dim=-1)
    if sampling.top_p >= 1:
        return int(torch.multinomial(probabilities, 1, generator=generator))
    values, indices = torch.topk(probabilities, min(NUCLEUS_CANDIDATES, probabilities.numel()))
    if float(values.sum()) < sampling.top_p:  # a flat distribution: the nucleus is wider than the quick list
        values, indices = torch.sort(probabilities, descending=True)
    before = values.cumsum(-1) - values  # mass of the likelier tokens; the first one always stays
    kept = values * (before < sampling.top_p)
    return int(indices[torch.multinomial(kept, 1, generator=generator)])


def _pad_left(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


@torch.inference_mode()
def decode_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    samplings: Sequence[Sampling],
    on_token: Callable[[int, int], bool],
    pad: int = 0,
) -> None:
    """Generate for all prompts at once; `on_token(row, token)` takes each token and says whether that row goes on."""
    device = model.device
    generators = [_seeded(sampling.seed) for sampling in samplings]
    ids, mask = _pad_left(prompts, pad, device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    rows = list(range(len(prompts)))
    while rows:
        output = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = output.logits[:, -1].float().cpu()
        tokens = [choose_token(logits[place], samplings[row], generators[row]) for place, row in enumerate(rows)]
        kept = [place for place, row in enumerate(rows) if on_token(row, tokens[place])]
        if len(kept) < len(rows):
            if not kept:
                return
            index = torch.tensor(kept, device=device)
            cache.batch_select_indices(index)
            mask, positions = mask[index], positions[index]
            rows = [rows[place] for place in kept]
        ids = torch.tensor([[tokens[place]] for place in kept], device=device)
        mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=-1)
        positions = positions[:, -1:] + 1


def _seeded(seed: int | None) -> torch.Generator:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator
