"""`provenance capture`: record the samples of a file, or what a spool still holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from provenance.canonical import parse_json
from provenance.cli.connect import open_client
from provenance.cli.files import read_bytes
from provenance.cli.output import JsonOption, print_json, print_line, say, show_progress
from provenance.errors import FieldError, MalformedError, ProvenanceError, SettingsError

BATCH_SAMPLES = 1000
BATCH_BYTES = 8 * 1024 * 1024
Row = tuple[int, dict[str, Any]]


def capture(
    file: Annotated[Path | None, typer.Argument(help="JSON array or NDJSON of samples; - is stdin.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Where a sample names none.")] = None,
    teacher: Annotated[str | None, typer.Option(help="PROVIDER/MODEL, where a sample names none.")] = None,
    route: Annotated[
        str | None, typer.Option(help="weights, api, consumer, reseller or dataset, where a sample names none.")
    ] = None,
    generated_at: Annotated[str | None, typer.Option(help="RFC 3339 time, where a sample names none.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Send what earlier pipelines left in the spool.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Record samples: the whole file, or nothing if one of them is malformed. The same file again records nothing twice."""
    if resume == (file is not None):
        raise SettingsError("expected a FILE, or --resume without one")
    if file is None:
        _resume(as_json=as_json)
        return
    defaults = make_defaults(dataset=dataset, teacher=teacher, route=route, generated_at=generated_at)
    rows = [(line, fill(value, defaults)) for line, value in read_rows(read_bytes(file), str(file))]
    check_rows(rows)
    answer = send(rows, source="cli")
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer['count']:,} samples recorded, entries {answer['first_index']} to {answer['last_index']}")
        if answer["replayed"]:
            say(f"{answer['replayed']:,} of them were recorded before; nothing was recorded twice")


def _resume(*, as_json: bool) -> None:
    with open_client() as client:
        before = client.spool.count_waiting()
        left = client.flush()
    if as_json:
        print_json({"sent": before - left, "waiting": left})
    else:
        print_line(f"{before - left:,} samples sent, {left:,} wait")


def make_defaults(
    *, dataset: str | None, teacher: str | None, route: str | None, generated_at: str | None
) -> dict[str, Any]:
    """What a sample gets where it says nothing itself.

    Raises:
        MalformedError: a teacher that is no PROVIDER/MODEL.
    """
    defaults: dict[str, Any] = {"dataset": dataset, "generated_at": generated_at}
    named: dict[str, Any] = {"route": route}
    if teacher is not None:
        provider, _, model = teacher.partition("/")
        if not provider or not model:
            expected = "PROVIDER/MODEL, for example openai/gpt-4o-2024-08-06"
            raise MalformedError(
                f"teacher: expected {expected}, got {teacher!r}", FieldError("teacher", teacher, expected)
            )
        named |= {"provider": provider, "model": model}
    defaults["teacher"] = {name: value for name, value in named.items() if value is not None}
    return {name: value for name, value in defaults.items() if value}


def read_rows(data: bytes, name: str) -> list[Row]:
    """The objects of a JSON array or of NDJSON, each with its line (or place in the array) counted from 1.

    Raises:
        MalformedError: a line that is no JSON object, or nothing at all.
    """
    if data.lstrip()[:1] == b"[":
        value = parse_json(data)
        rows = list(enumerate(value, 1))
    else:
        rows = [(number, _parse_line(line, number)) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    for number, row in rows:
        if not isinstance(row, dict):
            raise MalformedError(
                f"{name}, line {number}: expected an object", FieldError("sample", row, "an object", number)
            )
    if not rows:
        raise MalformedError(f"{name} holds no sample", FieldError("file", name, "at least one sample"))
    return rows


def _parse_line(line: bytes, number: int) -> Any:
    try:
        return parse_json(line)
    except MalformedError as exc:
        problem = FieldError("line", line[:80].decode("utf-8", "replace"), "one JSON object", number)
        raise MalformedError(f"line {number}: {exc.detail}", problem) from exc


def fill(value: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """A sample with the defaults where it is silent; of the teacher, field by field."""
    filled = {**defaults, **{name: item for name, item in value.items() if item is not None}}
    teacher = filled.get("teacher")
    if isinstance(teacher, str):
        provider, _, model = teacher.partition("/")
        teacher = {"provider": provider, "model": model}
    if isinstance(teacher, dict):
        filled["teacher"] = {**defaults.get("teacher", {}), **teacher}
    return filled


def check_rows(rows: Sequence[Row]) -> None:
    """Refuse the first malformed sample before anything is sent.

    Raises:
        MalformedError: names its line.
    """
    from provenance.capture.sample import parse_samples

    now = datetime.now(UTC)
    for number, value in rows:
        try:
            parse_samples(orjson.dumps(value), now=now, lines=True)
        except MalformedError as exc:
            raise _at_line(exc, number) from exc


def _at_line(exc: MalformedError, number: int) -> MalformedError:
    problems = [FieldError(item.field, item.value, item.expected, number) for item in exc.errors]
    return MalformedError(f"line {number}: {exc.detail.removeprefix('line 1: ')}", *problems)


def send(rows: Sequence[Row], *, source: str) -> dict[str, Any]:
    """Record checked samples in batches; each batch's key follows from its content and place."""
    receipts: list[dict[str, Any]] = []
    with open_client() as client, show_progress() as progress:
        task = progress.add_task("samples", total=len(rows))
        for first, batch in _batches(rows):
            lines = b"\n".join(orjson.dumps(value) for _, value in batch)
            key = f"{source}-{first}-{hashlib.sha256(lines).hexdigest()[:32]}"
            try:
                receipts.append(client.post_samples(lines, source=source, idempotency_key=key))
            except ProvenanceError as exc:
                raise _with_progress(exc, first, len(rows)) from exc
            progress.advance(task, len(batch))
    last = receipts[-1]
    return {
        "first_index": receipts[0]["first_index"],
        "last_index": last["first_index"] + last["count"] - 1,
        "count": sum(item["count"] for item in receipts),
        "replayed": sum(item["count"] for item in receipts if item["replayed"]),
        "tree_size": last["tree_size"],
        "receipts": [{name: item[name] for name in ("first_index", "count", "batch_index")} for item in receipts],
    }


def _with_progress(exc: ProvenanceError, done: int, total: int) -> ProvenanceError:
    if done:
        exc.detail = (
            f"{exc.detail} ({done:,} of {total:,} samples are recorded; the same command again goes on from there)"
        )
    return exc


def _batches(rows: Sequence[Row]) -> list[tuple[int, list[Row]]]:
    batches: list[tuple[int, list[Row]]] = []
    size = BATCH_BYTES + 1
    for position, row in enumerate(rows):
        weight = len(orjson.dumps(row[1]))
        if size + weight > BATCH_BYTES or len(batches[-1][1]) == BATCH_SAMPLES:
            batches.append((position, []))
            size = 0
        batches[-1][1].append(row)
        size += weight
    return batches
