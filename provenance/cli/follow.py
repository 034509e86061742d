"""A training as a terminal shows it: one line for each event, and the newest numbers beside a bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from provenance.cli.output import print_line, show_progress

GIB = 1024**3


def describe_step(event: Mapping[str, Any]) -> str:
    """Loss, speed, time left and what the GPUs do; what an event does not say is left out."""
    parts = []
    if (loss := _number(event.get("loss"))) is not None:
        parts.append(f"loss {loss:.4f}")
    if (speed := _number(event.get("tokens_per_second"))) is not None:
        parts.append(f"{speed:,.0f} tokens/s")
    if (left := _number(event.get("eta_seconds"))) is not None:
        parts.append(f"{format_left(left)} left")
    return ", ".join([*parts, *_describe_gpus(event.get("gpus"))])


def _describe_gpus(gpus: Any) -> list[str]:
    said = []
    for gpu in gpus if isinstance(gpus, list) else []:
        used, busy = _number(gpu.get("memory_used_bytes")), _number(gpu.get("utilisation"))
        memory = "" if used is None else f" {used / GIB:.1f} GiB"
        said.append(f"GPU {gpu.get('gpu')}{memory}{'' if busy is None else f' {busy:.0%}'}")
    return said


def format_left(seconds: float) -> str:
    """Hours, minutes and seconds, the greatest first."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def follow_events(events: Iterable[Mapping[str, Any]]) -> None:
    """Print events as they come; on a terminal the steps move a bar below them, elsewhere each is a line."""
    if not sys.stdout.isatty():  # a bar would take the lines along to where it is drawn
        for event in events:
            print_line(describe_event(event))
        return
    with show_progress() as progress:
        task = progress.add_task("waits", total=None)
        for event in events:
            if event.get("event") == "step":
                said = describe_step(event)
                progress.update(task, description=said, completed=event.get("step"), total=event.get("total"))
            else:
                print_line(describe_event(event))


def describe_event(event: Mapping[str, Any]) -> str:
    """An event on one line: when, what, and what it says."""
    if "event" not in event:
        return f"ended: {event.get('state')}"
    if event["event"] == "step":
        return f"{event.get('at')} step {event.get('step')} of {event.get('total')}: {describe_step(event)}"
    rest = (f"{name}={value}" for name, value in event.items() if name not in {"event", "at"})
    return " ".join([str(event.get("at")), str(event["event"]), *rest])


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
