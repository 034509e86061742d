"""Build the student that training starts from: a cut of the teacher, or a small model from nothing.

- `cut`: some of the teacher's layers and the part of its vocabulary that the released text needs. Deterministic, no
  random numbers; the teacher is then the student's base model, and its licence binds the student's weights.
- `scratch`: a small Llama with its own byte-level BPE, learnt from the released text; weights drawn from the seed; no base.
- Only training texts may choose the vocabulary: held-out texts stay unseen.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.errors import MalformedError
from provenance.training.extras import require
from provenance.training.vocabulary import choose_tokens, cut_tokenizer, read_tokenizer

TOKEN_MAP = "teacher_tokens.json"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class StudentFacts:
    """What was built: which layers and how many tokens of the teacher stayed, and the parameters with tied ones counted once."""

    layers: tuple[int, ...]
    tokens: int
    parameters: int


def spread_layers(total: int, count: int) -> tuple[int, ...]:
    """`count` of `total` layers, spread over the depth, the first and the last among them.

    The first layers turn tokens into features and the last turn features into tokens: without either nothing is left to train.
    """
    if not 1 <= count <= total:
        raise MalformedError(f"layers: expected 1 to {total}, got {count}")
    if count == 1:
        return (0,)
    return tuple(sorted({round(place * (total - 1) / (count - 1)) for place in range(count)}))


def count_parameters(folder: Path) -> int:
    """Parameters stored in the folder's safetensors; tied ones are stored once."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as stream:
            for name in stream.keys():  # noqa: SIM118  # not a mapping
                size = 1
                for length in stream.get_slice(name).get_shape():
                    size *= length
                total += size
    return total


def build_student(
    teacher_dir: Path,
    texts: Iterable[str],
    out_dir: Path,
    *,
    layers: int | Sequence[int] = 6,
    common_tokens: int = 8192,
) -> StudentFacts:
    """Write a cut of the teacher into `out_dir`, with the map from its token ids to the teacher's.

    Args:
        texts: the training texts, in the form that the model reads (chat template applied).
        layers: how many layers, spread over the depth, or which ones.
        common_tokens: how many of the teacher's most common tokens to keep beside those of the texts.
    """
    require(("safetensors", "tokenizers", "torch"))
    from tokenizers import Tokenizer

    document = read_tokenizer(teacher_dir)
    whole = Tokenizer.from_file(str(teacher_dir / "tokenizer.json"))
    used = {token for text in texts for token in whole.encode(text, add_special_tokens=False).ids}
    kept = choose_tokens(document, used, common_tokens)
    config = json.loads((teacher_dir / "config.json").read_text("utf-8"))
    total = int(config["num_hidden_layers"])
    chosen = spread_layers(total, layers) if isinstance(layers, int) else tuple(layers)
    if not chosen or sorted(set(chosen)) != list(chosen) or chosen[0] < 0 or chosen[-1] >= total:
        raise MalformedError(f"layers: expected ascending layer numbers from 0 to {total - 1}, got {list(chosen)}")
    out_dir.mkdir(parents=True, exist_ok=True)
    _write_cut_weights(teacher_dir, out_dir, chosen, kept)
    _write_cut_config(config, out_dir, len(chosen), kept)
    (out_dir / "tokenizer.json").write_text(json.dumps(cut_tokenizer(document, kept), ensure_ascii=False), "utf-8")
    for name in ("tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (teacher_dir / name).is_file():
            shutil.copyfile(teacher_dir / name, out_dir / name)
    (out_dir / TOKEN_MAP).write_text(json.dumps(kept), "utf-8")
    return StudentFacts(chosen, len(kept), count_parameters(out_dir))


def _write_cut_weights(teacher_dir: Path, out_dir: Path, layers: Sequence[int], kept: Sequence[int]) -> None:
    """Copy the chosen layers under new numbers, and the kept rows of the token matrices, as float32."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors: dict[str, Any] = {}
    for path in sorted(teacher_dir.glob("*.safetensors")):
        tensors.update(load_file(path))
    places = {old: new for new, old in enumerate(layers)}
    cut = {}
    for name, tensor in tensors.items():
        head, _, tail = name.partition("model.layers.")
        if tail:
            number, _, rest = tail.partition(".")
            if int(number) not in places:
                continue
            name = f"{head}model.layers.{places[int(number)]}.{rest}"  # noqa: PLW2901  # the same tensor's new name
        elif name.endswith(("embed_tokens.weight", "lm_head.weight")):
            tensor = tensor[torch.tensor(list(kept))]  # noqa: PLW2901  # the same tensor's kept rows
        cut[name] = tensor.float().contiguous()
    if not any(name.endswith("embed_tokens.weight") for name in cut) or not any(
        "model.layers." in name for name in cut
    ):
        raise MalformedError(
            f"{teacher_dir}: expected a Llama-like model (model.layers.N, embed_tokens), found other tensor names"
        )
    save_file(cut, out_dir / "model.safetensors", metadata={"format": "pt"})


def _write_cut_config(config: dict[str, Any], out_dir: Path, layers: int, kept: Sequence[int]) -> None:
    new_ids = {old: new for new, old in enumerate(kept)}
    cut = config | {"num_hidden_layers": layers, "vocab_size": len(kept), "dtype": "float32"}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
        if isinstance(config.get(name), int):
            cut[name] = new_ids[config[name]]
    cut.pop("_model_name_or_path", None)
    (out_dir / "config.json").write_text(json.dumps(cut, indent=2, sort_keys=True), "utf-8")


def build_scratch(
    texts: Sequence[str], out_dir: Path, *, seed: int, tokens: int = 2048, hidden: int = 256, layers: int = 4
) -> StudentFacts:
    """Write a small Llama with random weights and its own byte-level BPE of at most `tokens` tokens."""
    require(("safetensors", "tokenizers", "torch", "transformers"))
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=tokens, special_tokens=special, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = CHAT_TEMPLATE
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3 // 8 * 8,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 64),
        num_key_value_heads=max(1, hidden // 64),
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    out_dir.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out_dir)
    fast.save_pretrained(out_dir)
    return StudentFacts(tuple(range(layers)), tokenizer.get_vocab_size(), count_parameters(out_dir))
