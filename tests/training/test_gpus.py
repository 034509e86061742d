"""NVML is faked at its own functions: there is no GPU here. tests/training/test_gpu.py reads a real one."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from provenance.training.gpus import read_gpus

GIB = 1024**3


class FakeNvmlError(Exception):
    pass


class FakeNvml:
    """Two GPUs, the second without a utilisation counter."""

    NVMLError = FakeNvmlError
    UUIDS = ("GPU-aaaa", "GPU-bbbb")

    def nvmlInit(self) -> None:  # noqa: N802  # NVML's name
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802  # NVML's name
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802  # NVML's name
        if index > 1:
            raise FakeNvmlError
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802  # NVML's name
        return self.UUIDS.index(uuid)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802  # NVML's name
        return SimpleNamespace(used=(handle + 1) * GIB, total=80 * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802  # NVML's name
        if handle == 1:
            raise FakeNvmlError
        return SimpleNamespace(gpu=87, memory=12)


FIRST = {"gpu": "0", "memory_used_bytes": GIB, "memory_total_bytes": 80 * GIB, "utilisation": 0.87}
SECOND = {"gpu": "1", "memory_used_bytes": 2 * GIB, "memory_total_bytes": 80 * GIB}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [FIRST, SECOND]),
        ("0", [FIRST]),
        ("1,0", [SECOND, FIRST]),
        ("GPU-bbbb", [SECOND | {"gpu": "GPU-bbbb"}]),
        ("", []),
        ("0,-1,1", [FIRST]),
        ("7", []),
    ],
)
def test_the_gpus_in_sight_are_read(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[dict[str, Any]]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert read_gpus() == expected


def test_without_a_driver_or_the_package_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDriver(FakeNvml):
        def nvmlInit(self) -> None:  # noqa: N802  # NVML's name
            raise FakeNvmlError

    for module in (NoDriver(), None):  # None in its place makes the import fail
        monkeypatch.setitem(sys.modules, "pynvml", module)
        assert read_gpus() == []
