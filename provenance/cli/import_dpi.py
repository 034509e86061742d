"""`provenance import dpi`: facts about data sets out of the Data Provenance Collection, beside what our rules say of them.

Files are read here and checked field by field; what is sent on is only what is used, without the names of annotators.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import local_settings, open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table, say, show_progress
from provenance.errors import FieldError, MalformedError, NotFoundError

ORIGIN = "Data Provenance Initiative, Data Provenance Collection (arXiv 2310.16787)"
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_TOTAL_BYTES = 256 * 1024 * 1024
SUMMARIES, CONSTANTS_FOLDER = "data_summaries", "constants"
SHOWN_NAMES = 8


def dpi(
    path: Annotated[Path, typer.Argument(help="A folder with data_summaries/ and constants/, or one of summaries.")],
    origin: Annotated[str, typer.Option(help="Where it was got: repository and commit.")] = ORIGIN,
    dry_run: Annotated[bool, typer.Option(help="Say what would be recorded, record nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import data set facts: licences by source, provider terms, parents, generators; compare our verdicts with theirs."""
    request = read_collection(path, origin)
    answer = _examine(request, whole=as_json) if dry_run else _record(request)
    if as_json:
        print_json(answer)
        return
    _show(answer)
    if dry_run:
        print_line("nothing was recorded")
    elif answer["replayed"]:
        print_line(f"{answer['id']} was recorded before, as entry {answer['entry']}; nothing was added")
    else:
        print_line(f"recorded as {answer['id']}, entry {answer['entry']}")


def _examine(request: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    local_settings()  # says which package is missing
    import orjson

    from provenance.capture.collection.names import load_names
    from provenance.policy.collection.examine import examine
    from provenance.policy.pack import load_pack
    from provenance.terms.catalogue import load_catalogue

    with show_progress() as progress:
        examined = examine(
            request,
            names=load_names(),
            catalogue=load_catalogue(),
            pack=load_pack(),
            each=lambda facts: progress.track(facts, description="Comparing data sets"),
        )
    files = {name.removesuffix(".json"): orjson.loads(data) for name, data in examined.files.items()} if whole else {}
    return {**examined.predicate(), "recorded": 0, **files}


def _record(request: Mapping[str, Any]) -> dict[str, Any]:
    with show_progress() as progress, open_client() as client:
        progress.add_task("Comparing and recording", total=None)
        answer: dict[str, Any] = client.post("/api/v1/collections", request)
        return answer


def read_collection(path: Path, origin: str) -> dict[str, Any]:
    """The request that records a folder: its summaries, checked and stripped, upstream's constants, digests of the files.

    Raises:
        NotFoundError: there is no such folder, or no summary in it.
        MalformedError: a file is a link, too large, not strict JSON, or has a field that it should not; it is named.
    """
    from provenance.canonical import sha256_digest
    from provenance.capture.collection.fields import strip_summary
    from provenance.capture.collection.summary import parse_summaries
    from provenance.policy.collection.upstream import CONSTANTS

    inner = path / SUMMARIES
    folder = inner if inner.is_dir() else path
    files, sources, total = {}, [], 0
    for name, data in _read_folder(folder):
        total += len(data)
        if total > MAX_TOTAL_BYTES:
            raise _bad(str(folder), f"more than {MAX_TOTAL_BYTES:,} bytes", "fewer summaries at once")
        content = _parse(name, data)
        parse_summaries({name: content})
        files[name] = {key: strip_summary(value) for key, value in content.items()}
        sources.append({"path": name, "digest": sha256_digest(data)})
    if not files:
        raise NotFoundError(f"{folder} holds no summary (*.json)")
    constants = {}
    beside = folder.parent / CONSTANTS_FOLDER if folder == inner else folder / CONSTANTS_FOLDER
    if beside.is_dir():
        for name in CONSTANTS:
            data = _read_file(beside / name)
            constants[name] = _parse(name, data)
            sources.append({"path": f"{CONSTANTS_FOLDER}/{name}", "digest": sha256_digest(data)})
    else:
        say(f"{beside} is not there: upstream's use classes cannot be computed, only our side is filled")
    return {"origin": origin, "files": files, "constants": constants, "sources": sources}


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each summary with its name; a name that begins with `_` or `.` is a template or hidden, and no summary."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".json"))
    except OSError as exc:
        raise NotFoundError(f"{folder} cannot be read: {exc.strerror}") from exc
    for name in names:
        if not name.startswith(("_", ".")):
            yield name, _read_file(folder / name)


def _read_file(path: Path) -> bytes:
    try:
        # A link could lead anywhere, a pipe could wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise _bad(str(path), exc.strerror or "not readable", "a readable file that is no link") from exc
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _bad(str(path), "not a file", "a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise _bad(str(path), "a larger file", f"at most {MAX_FILE_BYTES:,} bytes")
    return data


def _parse(name: str, data: bytes) -> Any:
    from provenance.canonical import parse_json

    try:
        return parse_json(data)
    except MalformedError as exc:
        errors = [FieldError(f"{name}: {item.field}", item.value, item.expected) for item in exc.errors]
        raise MalformedError(f"{name}: {exc.detail}", *errors) from exc


def _bad(field: str, value: str, expected: str) -> MalformedError:
    return MalformedError(f"{field}: expected {expected}, got {value}", FieldError(field, value, expected))


def _show(answer: Mapping[str, Any]) -> None:
    counts = answer["counts"]
    print_fields(
        {
            "data sets": f"{counts['datasets']:,} in {counts['files']:,} files",
            "licence entries": counts["license_entries"],
            "sources of a licence": _list(counts["license_states"]),
            "provider terms, kept apart": _list(counts["provider_terms"]),
            "name a generator": counts["with_generators"],
            "teacher outputs": counts["teacher_outputs"],
            "verdicts, commercial student": _list(answer["verdicts"]["commercial"]),
            "verdicts, research student": _list(answer["verdicts"]["research"]),
            "day of generation": _list(answer["days"]),
            "unknown generators": _list(counts["unknown_generators"]),
            "unknown licences": _list(counts["unknown_licenses"]),
            "named, without SPDX id": _list(counts["licenses_without_spdx"]),
            "parents": f"{_list(counts['parents'])}; {counts['parents_in_collection']:,} lead to data sets of the collection",
            "unknown parents": _list(counts["unknown_parents"]),
            "cycles": f"{counts['cycles']:,} (data sets that derive from themselves or each other)",
        }
    )
    if not answer["upstream_classes"]:
        return
    print_line()
    print_line("Our answer beside upstream's use class:")
    print_table(
        ("what", "ours", "upstream", "data sets"),
        ([_what(row["teacher_output"]), row["ours"], row["upstream"], row["datasets"]] for row in answer["table"]),
        empty="no data set",
    )
    print_line()
    print_line("Kinds of difference (a data set counts under each that holds for it):")
    _show_kinds(answer["kinds"])


def _show_kinds(kinds: list[dict[str, Any]]) -> None:
    from provenance.policy.collection.compare import KINDS

    rows = (
        [row["kind"], row["datasets"], row["alone"], f"{KINDS[row['kind']]}\nupstream: {_list(row['upstream'])}"]
        for row in kinds
    )
    print_table(("kind", "data sets", "alone", "in words"), rows, empty="none")


def _what(teacher_output: bool) -> str:  # the one value that is shown
    return "teacher output: verdict" if teacher_output else "not a teacher output: licence class only"


def _list(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {number:,}" for name, number in list(counts.items())[:SHOWN_NAMES]]
    left = len(counts) - len(shown)
    return ", ".join(shown) + (f", and {left:,} more" if left > 0 else "") if shown else "none"
