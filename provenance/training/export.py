"""Export of a GGUF file to a plain transformers folder with safetensors, in a process of its own.

Its own process, because it needs torch and 1.2 GB of memory once, and the service must hold neither.
"""

from __future__ import annotations

import sys
from pathlib import Path


def export_gguf(gguf: Path, out: Path) -> None:
    """Write config, tokenizer and bf16 safetensors of `gguf` into `out`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # A model that came from GGUF refuses `save_pretrained` ("quantized ... not serializable"): copy its state into a fresh one.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    export_gguf(Path(sys.argv[1]), Path(sys.argv[2]))
