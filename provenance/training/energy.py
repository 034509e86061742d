"""Energy and memory of a run: measured where a counter exists, estimated otherwise, and never one called the other.

- With NVIDIA GPUs the driver's energy counter (millijoule, Volta and later) is read before and after: `measured`, GPUs only.
- Without, processor seconds times an assumed power: `estimated`, with the assumption in words.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WATTS_PER_BUSY_CORE = 10.0
_JOULES_PER_KWH = 3.6e6


def _gpu_millijoules() -> list[int] | None:
    """The energy counters of all GPUs, or None where there is no GPU, driver or counter."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(place) for place in range(pynvml.nvmlDeviceGetCount())]
        return [int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) for handle in handles] or None
    except pynvml.NVMLError:
        return None


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass
class EnergyMeter:
    """Reads counters when it is made and again at `read`."""

    gpus: list[int] | None = field(default_factory=_gpu_millijoules)
    cpu_seconds: float = field(default_factory=_cpu_seconds)

    def read(self) -> dict[str, Any]:
        """`{method, value, note}`, the value in kWh, since the meter was made."""
        now = _gpu_millijoules()
        if self.gpus is not None and now is not None and len(now) == len(self.gpus):
            joules = sum(after - before for before, after in zip(self.gpus, now, strict=True)) / 1000
            note = f"driver's energy counter of {len(now)} GPU(s); processor and memory not included"
            return {"method": "measured", "value": joules / _JOULES_PER_KWH, "note": note}
        busy = _cpu_seconds() - self.cpu_seconds
        note = f"{busy:.0f} processor seconds at an assumed {WATTS_PER_BUSY_CORE:g} W for each busy core"
        return {"method": "estimated", "value": busy * WATTS_PER_BUSY_CORE / _JOULES_PER_KWH, "note": note}


def add_energy(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What this process used and what earlier ones of the run did; measured only where both are."""
    measured = now["method"] == before["method"] == "measured"
    note = f"{now['note']}; {before['value']:.3g} kWh of earlier processes until their last checkpoint included"
    return {"method": "measured" if measured else "estimated", "value": now["value"] + before["value"], "note": note}


def peak_memory_bytes() -> int:
    """The most main memory that this process held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe_processor() -> str:
    """The processor's name, as far as the system says."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123  # a device, not a file of ours
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown processor"
