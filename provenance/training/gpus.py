"""Memory and utilisation of the GPUs that this process may use, as the driver (NVML) tells them; nothing where there is none."""

from __future__ import annotations

import contextlib
import os
from typing import Any


def read_gpus() -> list[dict[str, Any]]:
    """One value for each GPU in the process's sight: `gpu`, `memory_used_bytes`, `memory_total_bytes`, `utilisation`.

    Utilisation is the share of the driver's last sample period (at most a second) in which a kernel ran; it is missing where
    the driver has no number.
    """
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        return [_read(pynvml, name) for name in _list_visible(pynvml)]
    except pynvml.NVMLError:  # no driver, or a device that is gone
        return []


def _list_visible(pynvml: Any) -> list[str]:
    """The GPUs of CUDA_VISIBLE_DEVICES, by number or UUID; what stands behind a name that is none does not count."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return [str(place) for place in range(pynvml.nvmlDeviceGetCount())]
    names = [name.strip() for name in said.split(",")]
    return names[: next((place for place, name in enumerate(names) if name in {"", "-1"}), len(names))]


def _read(pynvml: Any, name: str) -> dict[str, Any]:
    by_number = name.isdecimal()
    handle = pynvml.nvmlDeviceGetHandleByIndex(int(name)) if by_number else pynvml.nvmlDeviceGetHandleByUUID(name)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    said = {"gpu": name, "memory_used_bytes": int(memory.used), "memory_total_bytes": int(memory.total)}
    with contextlib.suppress(pynvml.NVMLError):  # slices of a GPU (MIG) have none
        said["utilisation"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    return said
