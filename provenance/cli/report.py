"""`provenance report`: documents with the fields that lawyers and regulators ask for, signed and logged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table
from provenance.cli.release import wait_for
from provenance.errors import FieldError, MalformedError

app = typer.Typer(help="Reports.", no_args_is_help=True)
FORMATS = ("html", "pdf", "json", "csv")


@app.command("kinds")
def kinds(as_json: JsonOption = False) -> None:
    """List the kinds of reports."""
    with open_client() as client:
        rows = client.get("/api/v1/reports")["kinds"]
    if as_json:
        print_json(rows)
    else:
        print_table(("kind", "title"), ([row["kind"], row["title"]] for row in rows), empty="No kind.")


@app.command("build")
def build(
    kind: Annotated[str, typer.Option(help="See `provenance report kinds`.")],
    subject: Annotated[str, typer.Option(help="A release (NAME@VERSION or id) or a model trained here.")],
    at: Annotated[int | None, typer.Option(help="As the log stood at this size.", min=1)] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="html, pdf, json or csv; all without it.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Download the files into this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a report, with its evidence bundle."""
    wanted = list(dict.fromkeys(formats or FORMATS))
    for name in wanted:
        if name not in FORMATS:
            expected = " | ".join(FORMATS)
            raise MalformedError(f"format: expected {expected}, got {name!r}", FieldError("format", name, expected))
    with open_client() as client:
        body: dict[str, Any] = {"kind": kind, "subject": subject, "formats": wanted}
        if at is not None:
            body["at"] = at
        made = client.post("/api/v1/reports", body)
        report = wait_for(client, made["status_url"], "report")
        written = _download(client, report, wanted, output) if output is not None else []
    if as_json:
        print_json({**report, "written": written} if written else report)
        return
    print_fields({name: value for name, value in report.items() if not isinstance(value, list | dict)})
    for item in written or [f"/api/v1/reports/{report['id']}.{name}" for name in wanted]:
        print_line(str(item))


def _download(client: Any, report: Mapping[str, Any], formats: list[str], folder: Path) -> list[str]:
    base = f"/api/v1/reports/{report['id']}"
    sources = {f"{report['id']}.{name}": f"{base}.{name}" for name in formats}
    sources[f"{report['id']}-evidence.zip"] = f"{base}/evidence"
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, url in sources.items():
            (folder / name).write_bytes(client.get_bytes(url))
            written.append(str(folder / name))
    except OSError as exc:
        raise MalformedError(
            f"{folder} cannot be written: {exc.strerror}", FieldError("output", str(folder), "a writable folder")
        ) from exc
    return written
