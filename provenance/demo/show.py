"""What the demo prints: progress, a decision by teacher, a student beside its teacher."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

QUIET_SECONDS = 15.0


class Bar:
    """A progress bar; where the output is no terminal, a line now and then."""

    def __init__(self, console: Console, text: str, total: int | None) -> None:
        self._console, self._text, self._last = console, text, 0.0
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns,
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(text, total=total, note="")
        self._total = total

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, done: int, note: str, total: int | None = None) -> None:
        """Say how far it is."""
        self._total = total or self._total
        self._progress.update(self._task, completed=done, total=self._total, note=note)
        ended = done == self._total and self._last > 0
        if not self._console.is_terminal and (ended or time.monotonic() - self._last > QUIET_SECONDS):
            self._last = 0.0 if ended else time.monotonic()
            self._console.print(f"  {self._text}: {done} of {self._total or '?'}, {note}")


def show_decision(console: Console, decision: Mapping[str, Any], student: str) -> None:
    """The verdicts of a decision by teacher, each with the clause behind it, and what would change them."""
    table = Table(title=f"decision {decision['id']}: may {student} learn from them?", title_justify="left", expand=True)
    table.add_column("teacher", ratio=3)
    table.add_column("samples", justify="right")
    table.add_column("verdict", ratio=2)
    table.add_column("because", ratio=6)
    remedies: dict[str, str] = {}
    for (teacher, verdict), items in _by_teacher(decision).items():
        answer = items[0]["answer"]
        table.add_row(teacher, str(sum(item["samples"] for item in items)), verdict, _because(answer))
        for remedy in answer["remedies"][:3]:
            remedies.setdefault(f"{teacher}: {remedy['text']}", remedy["verdict_after"])
    console.print(table)
    console.print("What would change that, each tried out:")
    for text, after in remedies.items():
        console.print(f"  {text} -> [bold]{after}[/bold]")


def _by_teacher(decision: Mapping[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in decision["classes"]:
        teacher = item["facts"]["teacher"]
        grouped.setdefault((f"{teacher['provider']}/{teacher['model']}", item["answer"]["verdict"]), []).append(item)
    return grouped


def _because(answer: Mapping[str, Any]) -> str:
    reasons = [
        reason for reason in answer["reasons"] if reason["effect"] != "permit" and "lifted_by" not in reason
    ] or answer["reasons"]
    lines = [f"{reason['document']}, clause {reason['clause']}, by {reason['route']}" for reason in reasons[:1]]
    lines += [f"unmet: {item['requirement']}" for item in answer["conditions"] if item["status"] == "unmet"]
    return "\n".join(lines)


def show_student(console: Console, run: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """The student beside its teacher, then what it cannot do."""
    said = run["statement"]
    metrics = said["metrics"]
    table = Table(
        "held-out text of the teacher", "before", "after", "teacher", title="the student", title_justify="left"
    )
    before, after, teacher = (metrics[name] for name in ("student_before", "student_after", "teacher"))
    table.add_row("bits per character", *(f"{side['bits_per_character']:.2f}" for side in (before, after, teacher)))
    table.add_row("perplexity", *(f"{side['perplexity']:,.1f}" for side in (before, after, teacher)))
    table.add_row("word counts alone, bits per character", "", f"{metrics['unigram_bits_per_character']:.2f}", "")
    agreement = metrics.get("against_teacher")
    if agreement:
        table.add_row("same first choice as the teacher", "", f"{agreement['top1_agreement']:.0%}", "")
    speed = metrics["speed"]
    table.add_row(
        "tokens per second", "", *(f"{speed[side]['tokens_per_second']:.0f}" for side in ("student", "teacher"))
    )
    sizes = (model["parameters_count"], metrics["teacher_size"]["parameters"])
    table.add_row("parameters", "", *(f"{size:,}" for size in sizes))
    console.print(table)
    energy = said["energy_kwh"]
    console.print(
        f"{sizes[1] / sizes[0]:.1f} times fewer parameters; {said['tokens']:,} tokens, {said['flops']['value']:.2e} FLOP "
        f"({said['flops']['method']}), {energy['value'] * 1000:.2f} Wh {energy['method']}, "
        f"peak memory {said['peak_memory_bytes'] / 2**30:.1f} GiB, isolation {said['isolation']}"
    )
    for limit in said["limits"]:
        console.print(f"  limit: {limit}")
