"""The optional packages of training: asked for by name, with one sentence on how to get them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from provenance.errors import FieldError, MalformedError, UnavailableError

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


def check_reporters(names: Sequence[str], backend: str) -> None:
    """Check that the trackers of `report_to` can be written for, before anything starts.

    Raises:
        MalformedError: one is not installed here, or the run's folder does not come back from where it is trained.
    """
    if names and backend != "local":
        expected = "none: on a cluster their folders do not come back; the run's events and statements do"
        raise MalformedError(f"report_to: expected {expected}", FieldError("report_to", list(names), expected))
    for name in names:
        if importlib.util.find_spec(name) is None:
            expected = f"a package that is installed beside the service: pip install {name}"
            raise MalformedError(f"report_to: {name}: expected {expected}", FieldError("report_to", name, expected))
