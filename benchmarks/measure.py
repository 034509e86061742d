"""How things are timed here: the median of a few rounds, wall and CPU apart, ours and the baseline's in turn.

CPU is that of this process. Beside other work wall time grows and CPU time hardly does, so read CPU and the ratios first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock


@dataclass(frozen=True)
class Options:
    """How much is measured; the defaults end within ten minutes on two cores."""

    sizes: tuple[int, ...] = (1_000_000, 10_000_000)
    postgres_up_to: int = 1_000_000
    rounds: int = 3
    batch: int = 1000
    batches: int = 20
    classes: int = 400
    questions: int = 1000


@dataclass(frozen=True)
class Timing:
    """Seconds that something took."""

    wall: float
    cpu: float

    def __sub__(self, other: Timing) -> Timing:
        return Timing(max(self.wall - other.wall, 0.0), max(self.cpu - other.cpu, 0.0))

    def scaled(self, factor: float) -> Timing:
        """What `factor` times as much would take."""
        return Timing(self.wall * factor, self.cpu * factor)


@dataclass(frozen=True)
class Result:
    """One line of the table: `items` of `unit` in so many seconds; `against` another line that took `ratio` times as long."""

    name: str
    unit: str
    items: int
    wall_seconds: float
    cpu_seconds: float | None
    against: str | None = None
    ratio: float | None = None
    cpu_ratio: float | None = None
    more: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Items a second of wall time."""
        return self.items / max(self.wall_seconds, 1e-9)


def result(name: str, unit: str, items: int, took: Timing, **more: float | str) -> Result:
    """A line that stands for itself."""
    return Result(name, unit, items, took.wall, took.cpu, more=more)


def beside(mine: Result, other: Result) -> Result:
    """`mine` with how many times as long `other` takes for each item."""
    scale = mine.items / other.items
    cpu = (
        None if mine.cpu_seconds is None or other.cpu_seconds is None else other.cpu_seconds * scale / mine.cpu_seconds
    )
    ratio = other.wall_seconds * scale / mine.wall_seconds
    return Result(
        mine.name, mine.unit, mine.items, mine.wall_seconds, mine.cpu_seconds, other.name, ratio, cpu, mine.more
    )


def time_once(act: Callable[[], object]) -> Timing:
    """One run."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return Timing(time.perf_counter() - wall, max(time.process_time() - cpu, 1e-9))


def time_median(act: Callable[[], object], rounds: int) -> Timing:
    """The median of some runs."""
    return middle([time_once(act) for _ in range(rounds)])


def middle(runs: Sequence[Timing]) -> Timing:
    """Medians of wall and CPU, each for itself."""
    return Timing(statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs))


def compare(
    name: str, unit: str, items: int, ours: Callable[[], object], *, baseline: str, theirs: Callable[[], object], rounds: int
) -> list[Result]:  # fmt: skip
    """Run both in turn; the first line is ours with its ratio, the second the baseline."""
    mine, other = [], []
    for _ in range(rounds):
        mine.append(time_once(ours))
        other.append(time_once(theirs))
    base = result(baseline, unit, items, middle(other))
    return [beside(result(name, unit, items, middle(mine)), base), base]


def latencies(name: str, unit: str, acts: Sequence[Callable[[], object]]) -> Result:
    """Each act once, with the middle and the 99th of a hundred as `p50_us` and `p99_us`."""
    took = []
    wall, cpu = time.perf_counter(), time.process_time()
    for act in acts:
        begun = time.perf_counter()
        act()
        took.append(time.perf_counter() - begun)
    whole = Timing(time.perf_counter() - wall, max(time.process_time() - cpu, 1e-9))
    return result(name, unit, len(acts), whole, **percentiles(took))


def spent_in(owner: Any, name: str, act: Callable[[], object]) -> tuple[Timing, int]:
    """What `act` spends in the function `name` of `owner`, what that calls included, and how often it is called.

    CPU is that of the thread which calls it.
    """
    real, runs = getattr(owner, name), []

    def timed(*arguments: Any, **options: Any) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return real(*arguments, **options)
        finally:
            runs.append((time.perf_counter() - wall, time.thread_time() - cpu))

    with mock.patch.object(owner, name, timed):
        act()
    return Timing(sum(run[0] for run in runs), max(sum(run[1] for run in runs), 1e-9)), len(runs)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """`p50_us` and `p99_us` of some latencies."""
    ranked = sorted(seconds)
    return {
        "p50_us": 1e6 * ranked[len(ranked) // 2],
        "p99_us": 1e6 * ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)],
    }
