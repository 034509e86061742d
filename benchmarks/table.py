"""The results as tables in the terminal, one for each section, with units that a reader can compare."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Result

WORDS = {
    "classes": "classes {:.0f}",
    "rest_mb": "memory {:.0f} MB at rest",
    "peak_mb": "{:.0f} MB at most",
    "scaled_from": "scaled up from {:,.0f}",
    "gate_is_faster": "gate {:,.1f}x faster by wall",
    "gate_is_faster_cpu": "{:,.1f}x by CPU",
    "p50_us": "p50 {:,.0f} µs",
    "p99_us": "p99 {:,.0f} µs",
    "per_commit": "{:.1f} samples a commit",
    "beyond_bytes": "{:,.0f} bytes beyond the words",
    "row_bytes": "{:,.0f} of them rows and indexes of samples",
    "content_bytes": "{:,.0f} the words, compressed",
    "resident_mb": "{:.0f} MB resident",
    "worker_us": "workers {:,.0f} µs CPU a sample",
    "sequencer_us": "sequencer {:,.1f} µs",
    "calls": "{:,.0f} calls",
    "samples": "{:,.0f} samples",
    "models": "{:,.0f} models",
    "edges": "{:,.0f} edges",
    "reached_models": "{:,.0f} models reached",
    "reached_samples": "{:,.0f} samples reached",
    "grown_mb": "memory grown by {:.0f} MB",
    "bytes_each": "{:,.0f} bytes stored each",
}


def print_section(console: Console, title: str, results: Sequence[Result]) -> None:
    """One section."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="", pad_edge=False)
    table.add_column("what", overflow="fold")
    for name in ("wall", "CPU", "CPU each", "per second", "against wall", "by CPU"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("notes", overflow="fold")
    for line in results:
        table.add_row(
            line.name,
            format_seconds(line.wall_seconds),
            "" if line.cpu_seconds is None else format_seconds(line.cpu_seconds),
            "" if line.cpu_seconds is None else format_seconds(line.cpu_seconds / line.items),
            f"{_three(line.per_second)} {line.unit}",
            _ratio(line.ratio),
            _ratio(line.cpu_ratio),
            _notes(line),
        )
    console.print(table)


def format_seconds(seconds: float) -> str:
    """Three digits and a unit: 1.23 s, 45.6 ms, 789 µs, 12.3 ns."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds * 1e9)} ns"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}x" if value < 0.1 else f"{_three(value)}x"


def _notes(line: Result) -> str:
    said = [WORDS[name].format(value) for name, value in line.more.items()]
    return "; ".join(([f"against {line.against.strip()}"] if line.against else []) + said)
