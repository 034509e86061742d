"""`provenance student`: the intended use of a model that is to be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import open_client
from provenance.cli.files import read_object
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table

app = typer.Typer(help="Students: what a model is meant for.", no_args_is_help=True)


@app.command("declare")
def declare(
    facts: Annotated[Path, typer.Argument(help="JSON: the student's facts.")], as_json: JsonOption = False
) -> None:
    """Declare a student; the declaration is logged."""
    value = read_object(facts)
    with open_client() as client:
        made = client.post("/api/v1/students", value)
    if as_json:
        print_json(made)
    else:
        print_line(f"{value.get('name')} is {made['id']}, entry {made['entry']}")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List the declared students."""
    with open_client() as client:
        rows = client.get("/api/v1/students")["students"]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("id", "name", "entry"), ([row["id"], row["name"], row["entry"]] for row in rows), empty="No student."
        )


@app.command("show")
def show(reference: Annotated[str, typer.Argument(help="Id or name.")], as_json: JsonOption = False) -> None:
    """Show what was declared of a student."""
    with open_client() as client:
        student: dict[str, Any] = client.get(f"/api/v1/students/{reference}")
    if as_json:
        print_json(student)
    else:
        print_fields({"id": student["id"], "entry": student["entry"], **student["facts"]})


def declared(client: Any, student: str) -> str:
    """A student's name or id; what is a file of facts is declared first."""
    path = Path(student)
    if path.suffix == ".json" and path.is_file():
        return str(client.post("/api/v1/students", read_object(path))["id"])
    return student
