"""Run the benchmarks, print a table for each section, write `out/bench.json`; `--help` lists what can be chosen."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from benchmarks import decisions, gate, growth, http, ingest, ledger, lineage, recall, releases, singles
from benchmarks.measure import Options, Result
from benchmarks.table import print_section

SECTIONS: dict[str, tuple[str, Callable[[Options, Path], Iterator[Result]]]] = {
    "ledger": ("The log", ledger.run),
    "gate": ("The policy gate by fact class", gate.run),
    "decisions": ("Single decisions", decisions.run),
    "singles": ("Single samples, many clients", singles.run),
    "growth": ("The log as it grows", growth.run),
    "lineage": ("The lineage of ten thousand models", lineage.run),
    "recall": ("A recall over ten thousand models", recall.run),
    "releases": ("Releases with a class held back", releases.run),
    "http": ("Decisions over HTTP", http.run),
    "ingest": ("Durable append over HTTP", ingest.run),
}
QUICK = Options(sizes=(20_000,), postgres_up_to=20_000, rounds=1, batch=50, batches=2, classes=40, questions=60)


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for."""
    asked = _parse(arguments)
    console = Console(width=None if os.isatty(1) else 190)
    options = QUICK if asked.quick else Options()
    if asked.size:
        options = replace(options, sizes=tuple(asked.size))
    options = replace(
        options, postgres_up_to=0 if asked.no_postgres else (asked.postgres_up_to or options.postgres_up_to)
    )
    found: dict[str, list[Result]] = {}
    for name in asked.only or SECTIONS:
        title, run = SECTIONS[name]
        found[name] = _measure(console, title, run, options)
        print_section(console, title, found[name])
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(_report(options, found), indent=1) + "\n")
    console.print(f"How to read this: benchmarks/README.md. All figures: {asked.out}")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measurements beside their baselines.")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section; may stand several times")
    parser.add_argument(
        "--size", action="append", type=_count, help="samples for the gate, as 1e6; may stand several times"
    )
    parser.add_argument("--postgres-up-to", type=_count, help="the greatest size that PostgreSQL is filled to [1e6]")
    parser.add_argument("--no-postgres", action="store_true", help="SQLite alone")
    parser.add_argument(
        "--quick", action="store_true", help="everything once, at sizes that prove nothing but that it runs"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/bench.json"), help="where the figures go [out/bench.json]"
    )
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    value = float(text)
    if not 1 <= value <= 1e9 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of 1 to 1e9")
    return int(value)


def _measure(
    console: Console, title: str, run: Callable[[Options, Path], Iterator[Result]], options: Options
) -> list[Result]:
    results = []
    shown = console.status(title) if console.is_terminal else nullcontext()
    with tempfile.TemporaryDirectory(prefix="provenance-bench-") as folder, shown as status:
        for line in run(options, Path(folder)):
            results.append(line)
            if status is None:
                console.print(f"{title}: {line.name.strip()}", highlight=False)
            else:
                status.update(f"{title}: {len(results)} measured, after {line.name.strip()}")
    return results


def _report(options: Options, found: dict[str, list[Result]]) -> dict[str, object]:
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "load": os.getloadavg(),
        "options": asdict(options),
        "sections": {name: [asdict(line) for line in lines] for name, lines in found.items()},
    }


if __name__ == "__main__":
    raise SystemExit(main())
