"""What commands print: data on stdout, everything about the way there on stderr.

Text of others (names, prompts, error values) is shown with its control characters made visible, never interpreted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from provenance.errors import DeniedError, ProvenanceError

if TYPE_CHECKING:
    from rich.progress import Progress

WIDE = 100_000
PROBLEM_TYPE = "https://provenance-ledger.dev/errors/"
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def print_line(text: str = "") -> None:
    """One line for people, harmless whatever is in it."""
    sys.stdout.write(show_plain(text) + "\n")


def say(text: str) -> None:
    """One line about the way there."""
    sys.stderr.write(show_plain(text) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A table without frames; `empty` is said where there is no row."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        print_line(empty)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in cells:
        table.add_row(*map(_escape, row))
    # Where nobody looks, a program reads: lines are not wrapped for it.
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def print_fields(value: Mapping[str, Any]) -> None:
    """Names and values, one a line; what is not recorded is said."""
    width = max(map(len, value), default=0)
    for name, item in value.items():
        print_line(f"{name:<{width}}  {'not recorded' if item is None else _cell(item)}")


def show_plain(text: str) -> str:
    """Text whose control and bidirectional characters are written out."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def problem_of(exc: ProvenanceError) -> dict[str, Any]:
    """The problem body that the service answers with for the same error."""
    body: dict[str, Any] = {
        "type": PROBLEM_TYPE + exc.code, "title": exc.title, "status": exc.status, "detail": exc.detail,
        "code": exc.code, "errors": [item.to_json() for item in exc.errors],
    }  # fmt: skip
    if isinstance(exc, DeniedError) and exc.decision is not None:
        body["decision"] = exc.decision
    return body


def print_error(exc: ProvenanceError, *, as_json: bool) -> None:
    """An error: lines on stderr for people, the problem body on stdout for programs."""
    if as_json:
        print_json(problem_of(exc))
    sys.stderr.write(f"error: {show_plain(exc.detail)}\n")
    for item in (problem.to_json() for problem in exc.errors):
        where = f" (line {item['line']})" if "line" in item else ""
        sys.stderr.write(
            show_plain(f"  field: {item['field']}{where}\n  value: {item['value']!r}\n  expected: {item['expected']}\n")
        )
    if isinstance(exc, DeniedError) and exc.decision is not None:
        for reason in exc.decision.get("reasons") or []:
            if reason.get("lifted_by"):
                continue
            said = " ".join(filter(None, (reason.get("document"), reason.get("clause"))))
            sys.stderr.write(show_plain(f"  {reason.get('effect')}: {said}: {reason.get('text')}\n"))


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Progress bars on stderr; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return show_plain(value)
    if value is None:
        return "-"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return show_plain(", ".join(value))
    return show_plain(orjson.dumps(value, default=str).decode())


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
