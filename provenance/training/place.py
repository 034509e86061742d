"""Which place trains a run: the service's own machine, or the Ray cluster of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from provenance.errors import FieldError, MalformedError, UnavailableError
from provenance.runtime import Runtime
from provenance.training.backend import Backend, Need
from provenance.training.local import LocalBackend
from provenance.training.ray import RayBackend
from provenance.training.ray_api import open_api

BACKENDS = ("local", "ray")


def open_backend(runtime: Runtime, request: Mapping[str, Any]) -> Backend:
    """The backend that a run asks for.

    Raises:
        MalformedError: there is none of that name.
        UnavailableError: its settings are missing; they are named.
    """
    name = request.get("backend", "local")
    slots, settings = runtime.folder("slots"), runtime.settings
    if name == "local":
        return LocalBackend(slots, settings.cpu_slots)
    if name != "ray":
        expected = f"one of {', '.join(BACKENDS)}"
        raise MalformedError(f"backend: expected {expected}, got {name!r}", FieldError("backend", name, expected))
    url, shared, python = settings.ray_url, settings.ray_shared_dir, settings.ray_python
    if url is None or shared is None or python is None:
        raise UnavailableError(
            "backend ray: set PROVENANCE_RAY_URL, PROVENANCE_RAY_SHARED_DIR and PROVENANCE_RAY_PYTHON on the service"
        )
    allow = request.get("allow_unauthenticated_cluster", False) is True
    return RayBackend(partial(open_api, url, settings.ray_token), Path(shared), python, slots, allow)


def read_need(request: Mapping[str, Any]) -> Need:
    """What a run asks for, not yet checked against a place."""
    gpus, processes = request.get("gpus") or 0, request.get("processes") or 1
    if gpus and processes not in {1, gpus}:
        expected = f"{gpus}, one for each GPU"
        raise MalformedError(f"processes: expected {expected}", FieldError("processes", processes, expected))
    return Need(gpus, processes)
