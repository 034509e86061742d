"""`provenance import`: samples that others made. They enter as `claimed`: somebody says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli import import_dpi
from provenance.cli.capture import Row, check_rows, fill, make_defaults, read_rows, send
from provenance.cli.files import read_bytes
from provenance.cli.import_ota import ota
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, say
from provenance.errors import FieldError, MalformedError, NotFoundError, UnavailableError

app = typer.Typer(help="Import samples and facts that others made.", no_args_is_help=True)
PAIRS = (
    ("prompt", "completion"), ("prompt", "response"), ("question", "answer"), ("instruction", "output"),
    ("instruction", "response"), ("query", "response"), ("input", "output"),
)  # fmt: skip
CONVERSATIONS = ("messages", "conversations")
SPEAKERS = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}
KEPT = frozenset((
    "teacher", "generated_at", "generated_in", "parameters", "usage", "request_id", "finish_reason", "prompt_origin",
    "parents", "human_contribution", "external_id", "role", "account", "dataset",
))  # fmt: skip
app.command("ota")(ota)


@app.callback()
def explain() -> None:
    """Import samples and facts that others made."""


app.command("dpi")(import_dpi.dpi)


@app.command("hf")
def hf(
    path: Annotated[Path, typer.Argument(help="A JSONL, JSON or Parquet file, or a folder of them.")],
    dataset: Annotated[str, typer.Option(help="The dataset that they are recorded in.")],
    teacher: Annotated[
        str | None, typer.Option(help="PROVIDER/MODEL that is said to have made them, where a row names none.")
    ] = None,
    route: Annotated[str, typer.Option(help="How they were got; dataset: as somebody else's data set.")] = "dataset",
    generated_at: Annotated[str | None, typer.Option(help="Day or time of generation, where a row names none.")] = None,
    ref: Annotated[
        str | None, typer.Option(help="Which data set it is, for example a hub id; the file's name without it.")
    ] = None,
    license_id: Annotated[str | None, typer.Option("--license", help="The licence that it claims (SPDX id).")] = None,
    skip_bad: Annotated[bool, typer.Option(help="Leave malformed rows out, and count them.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be recorded, record nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import a Hugging Face data set from its files: prompt/completion pairs, or conversations."""
    if generated_at is not None and len(generated_at) == len("2026-11-24"):
        generated_at += "T00:00:00Z"
    defaults = make_defaults(dataset=dataset, teacher=teacher, route=route, generated_at=generated_at)
    if route == "dataset":
        defaults["source_dataset"] = {"ref": ref or path.name, "license": license_id}
    rows, bad = _convert(path, defaults, skip_bad=skip_bad)
    teachers = Counter(f"{row['teacher']['provider']}/{row['teacher']['model']}" for _, row in rows)
    summary = {"dataset": dataset, "samples": len(rows), "skipped": bad, "teachers": dict(teachers)}
    if dry_run:
        _show(summary, rows, as_json=as_json)
        return
    if not rows:
        raise MalformedError("no row can be recorded", FieldError("path", str(path), "at least one sample"))
    answer = summary | send(rows, source="import")
    if as_json:
        print_json(answer)
    else:
        print_line(
            f"{len(rows):,} samples imported as claimed, entries {answer['first_index']} to {answer['last_index']}"
        )
        say(f"{bad:,} rows were left out") if bad else None


def _convert(path: Path, defaults: dict[str, Any], *, skip_bad: bool) -> tuple[list[Row], int]:
    rows: list[Row] = []
    bad = 0
    for number, value in _read(path):
        try:
            row = (number, fill(convert_row(value, number), defaults))
            check_rows([row])
            rows.append(row)
        except MalformedError:
            if not skip_bad:
                raise
            bad += 1
    return rows, bad


def convert_row(value: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A row of a data set as a sample.

    Raises:
        MalformedError: no pair and no conversation is found in it.
    """
    sample = {name: item for name, item in value.items() if name in KEPT and item is not None}
    for name in CONVERSATIONS:
        if isinstance(value.get(name), list):
            messages = [_message(item, number) for item in value[name]]
            if len(messages) < 2 or messages[-1]["role"] != "assistant":
                raise _bad(name, value[name], "a conversation that ends with the assistant", number)
            return {**sample, "prompt": messages[:-1], "completion": messages[-1:]}
    for prompt, completion in PAIRS:
        if prompt in value and completion in value:
            asked = value[prompt]
            extra = value.get("input") if prompt == "instruction" else None
            if isinstance(asked, str) and isinstance(extra, str) and extra.strip():
                asked = f"{asked}\n\n{extra}"
            return {**sample, "prompt": asked, "completion": value[completion]}
    known = "; ".join([*CONVERSATIONS, *(f"{prompt} and {completion}" for prompt, completion in PAIRS)])
    raise _bad("columns", ", ".join(map(str, value)), f"one of: {known}", number)


def _message(item: Any, number: int) -> dict[str, Any]:
    if isinstance(item, Mapping):
        role = SPEAKERS.get(str(item.get("role", item.get("from"))))
        content = item.get("content", item.get("value"))
        if role is not None and isinstance(content, str):
            return {"role": role, "content": content}
    raise _bad("messages", item, "{role, content} or {from, value}", number)


def _read(path: Path) -> Iterator[Row]:
    if not path.exists():
        raise NotFoundError(f"there is no file or folder {path}")
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.suffix in READERS)
    if not files:
        raise NotFoundError(f"{path} holds no {', '.join(READERS)} file")
    for file in files:
        if file.suffix not in READERS:
            raise _bad("path", str(file), f"a file that ends in {', '.join(READERS)}", 1)
        yield from READERS[file.suffix](file)


def _read_json(path: Path) -> Sequence[Row]:
    return read_rows(read_bytes(path), str(path))


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as exc:
        raise UnavailableError(f"reading Parquet needs {exc.name}: pip install 'provenance-ledger[server]'") from exc
    try:
        number = 0
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except pyarrow.ArrowException as exc:
        raise MalformedError(f"{path} is not Parquet: {exc}", FieldError("path", str(path), "a Parquet file")) from exc


READERS = {".jsonl": _read_json, ".ndjson": _read_json, ".json": _read_json, ".parquet": _read_parquet}


def _show(summary: Mapping[str, Any], rows: Sequence[Row], *, as_json: bool) -> None:
    first = rows[0][1] if rows else None
    if as_json:
        print_json({**summary, "recorded": 0, "first": first})
        return
    print_fields(summary)
    print_line("the first would be:")
    print_json(first)
    print_line("nothing was recorded")


def _bad(field: str, value: Any, expected: str, number: int) -> MalformedError:
    problem = FieldError(field, value, expected, number)
    return MalformedError(f"line {number}: {field}: expected {expected}, got {problem.to_json()['value']!r}", problem)
