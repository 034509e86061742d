"""A finished student as a teacher: its files, checked against what was registered, and its entry of `gateway.yaml`.

The entry names the weights and the run, so that what the student answers through the gateway is known to be this model's
and carries what it inherited (`lineage.carry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provenance.errors import DeniedError, FieldError, MalformedError, NotFoundError
from provenance.training.stage import check_exactly

MODEL_FOLDER = ("out", "model")


def find_student(runs: Path, model: Mapping[str, Any]) -> Path:
    """The folder of a student's weights on this machine, exactly as they were registered.

    Args:
        runs: where runs lie in the data directory.
        model: as `GET /api/v1/models/{id}` answers.
    Raises:
        MalformedError: no run of this log made the model.
        DeniedError: a recall holds it back.
        NotFoundError: its files are not on this machine.
        DigestMismatchError: they are not what was registered.
    """
    if not model.get("run"):
        expected = "a model that a run of this log made"
        raise MalformedError(f"{model['name']}: expected {expected}", FieldError("model", model["id"], expected))
    if model.get("recall"):
        raise DeniedError(f"{model['name']} is held back by recall {model['recall']}", code="recalled")
    folder = runs.joinpath(model["run"], *MODEL_FOLDER)
    if not folder.is_dir():
        expected = f"its files in {folder}"
        raise NotFoundError(f"{model['name']}: expected {expected}", FieldError("model", model["id"], expected))
    check_exactly(folder, model["files"])
    return folder


def make_upstream(model: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The entry of `gateway.yaml` under which clients ask for the student by name."""
    provider = "-".join(str(model["provider"]).casefold().split())
    return {
        "model": f"{provider}/{model['name']}",
        "base_url": base_url,
        "api_key": None,
        "upstream_model": model["name"],
        "teacher": {
            "provider": provider,
            "model": model["name"],
            "route": "weights",
            "revision": model["run"],
            "weights_digest": model["weights_digest"],
        },
        "account": None,
    }
