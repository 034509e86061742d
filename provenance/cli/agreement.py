"""`provenance agreement`: negotiated agreements that lift what they name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import open_client
from provenance.cli.files import read_object
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table

app = typer.Typer(help="Agreements with providers: what they lift, for whom, until when.", no_args_is_help=True)
COLUMNS = ("id", "state", "provider", "students", "actions", "valid_from", "valid_to")


@app.command("add")
def add(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON: provider, parties, models, routes, actions, students, document_digest, valid_from, valid_to."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Log an agreement; from now on every decision that it names uses it and says so."""
    value = read_object(file)
    with open_client() as client:
        made = client.post("/api/v1/agreements", value)
    if as_json:
        print_json(made)
    else:
        print_line(f"agreement {made['id']}, entry {made['entry']}")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List the agreements."""
    with open_client() as client:
        rows = client.get("/api/v1/agreements")["agreements"]
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, ([row[name] for name in COLUMNS] for row in rows), empty="No agreement.")


@app.command("show")
def show(identifier: Annotated[str, typer.Argument(help="Its id.")], as_json: JsonOption = False) -> None:
    """Show an agreement: terms, state, who logged what, and which decisions used it."""
    with open_client() as client:
        agreement: dict[str, Any] = client.get(f"/api/v1/agreements/{identifier}")
    if as_json:
        print_json(agreement)
    else:
        print_held(agreement)


@app.command("revoke")
def revoke(
    identifier: Annotated[str, typer.Argument(help="Its id.")],
    reason: Annotated[str, typer.Option(help="Why; it is logged.")],
    as_json: JsonOption = False,
) -> None:
    """End an agreement: it lifts nothing any more, and no run starts from a release that was decided with it."""
    with open_client() as client:
        made = client.post(f"/api/v1/agreements/{identifier}/revoke", {"reason": reason})
    if as_json:
        print_json(made)
    else:
        print_line(f"agreement {identifier} is revoked, entry {made['entry']}")


def print_held(held: dict[str, Any]) -> None:
    """An agreement or exception for people."""
    print_fields({name: value for name, value in held.items() if name not in {"steps", "decisions"}})
    for step in held["steps"]:
        reason = f": {step['reason']}" if step["reason"] else ""
        print_line(f"{step['at']}  {step['step']} by {step['actor']} (entry {step['entry']}){reason}")
    print_line(f"used by: {', '.join(held['decisions']) or 'no decision yet'}")
