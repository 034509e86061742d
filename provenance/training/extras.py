"""The optional packages of training: asked for by name, with one sentence on how to get them."""

from __future__ import annotations

import importlib.util

from provenance.errors import UnavailableError

TRAINING = ("torch", "transformers", "trl", "datasets", "accelerate", "safetensors", "gguf")
SERVING = ("torch", "transformers", "safetensors", "fastapi", "uvicorn")


def require(names: tuple[str, ...] = TRAINING, extra: str = "train") -> None:
    """Check that packages can be imported, without importing them.

    Raises:
        UnavailableError: one is missing; the message says which and what to type.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)} not installed: run pip install 'provenance-ledger[{extra}]'")
