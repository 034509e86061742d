"""`provenance model`: teachers and students are one kind of thing."""

from __future__ import annotations

from typing import Annotated

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_table

app = typer.Typer(help="Models on record.", no_args_is_help=True)
COLUMNS = ("id", "provider", "name", "kind", "license", "weights_digest")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List models, newest first."""
    with open_client() as client:
        rows = client.get("/api/v1/models")["models"]
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, ([row.get(name) for name in COLUMNS] for row in rows), empty="No model.")


@app.command("show")
def show(reference: Annotated[str, typer.Argument(help="Id or PROVIDER/NAME.")], as_json: JsonOption = False) -> None:
    """Show a model: weights, parents, run, evaluation, conditions that it inherited."""
    with open_client() as client:
        model = client.get(f"/api/v1/models/{reference}")
    if as_json:
        print_json(model)
    else:
        print_fields(model)
