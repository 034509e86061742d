"""How things are timed here: the median of a few rounds, ours and the baseline's in turn, wall and CPU apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 3


@dataclass(frozen=True)
class Result:
    """Items a second of wall time and of CPU time, medians over the rounds."""

    name: str
    unit: str
    per_second: float
    per_cpu_second: float
    baseline: str | None = None
    ratio: float | None = None
    cpu_ratio: float | None = None


def compare(
    name: str, unit: str, items: int, ours: Callable[[], object], *, baseline: str, theirs: Callable[[], object]
) -> list[Result]:
    """Run both in turn; the first result is ours with its ratio, the second the baseline."""
    mine, other = [], []
    for _ in range(ROUNDS):
        mine.append(_time(ours, items))
        other.append(_time(theirs, items))
    wall, cpu = _medians(mine)
    base_wall, base_cpu = _medians(other)
    return [
        Result(name, unit, wall, cpu, baseline, wall / base_wall, cpu / base_cpu),
        Result(baseline, unit, base_wall, base_cpu),
    ]


def measure(name: str, unit: str, items: int, act: Callable[[], object]) -> list[Result]:
    """Time one thing that has no baseline here."""
    wall, cpu = _medians([_time(act, items) for _ in range(ROUNDS)])
    return [Result(name, unit, wall, cpu)]


def _time(act: Callable[[], object], items: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return items / (time.perf_counter() - wall), items / max(time.process_time() - cpu, 1e-9)


def _medians(rates: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in rates), statistics.median(cpu for _, cpu in rates)
