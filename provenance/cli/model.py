"""`provenance model`: teachers and students are one kind of thing."""

from __future__ import annotations

from typing import Annotated

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table

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


@app.command("serve")
def serve(
    reference: Annotated[str, typer.Argument(help="Id or PROVIDER/NAME of a student that a run here made.")],
    port: Annotated[int, typer.Option(help="Where it answers, on 127.0.0.1.")] = 8010,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it and print the gateway's entry only.")] = False,
) -> None:
    """Let a finished student teach: check its weights, print its entry for gateway.yaml, and serve it as OpenAI does.

    What it answers through the gateway is captured as its own samples, which carry the terms that it inherited.
    """
    import yaml

    from provenance.cli.connect import local_settings
    from provenance.training.as_teacher import find_student, make_upstream

    with open_client() as client:
        model = client.get(f"/api/v1/models/{reference}")
    settings = local_settings()
    folder = find_student(settings.data_dir / "runs", model)
    entry = yaml.safe_dump({"upstreams": [make_upstream(model, f"http://127.0.0.1:{port}/v1")]}, sort_keys=False)
    print_line(f"Put this into {settings.data_dir / 'gateway.yaml'}:\n{entry}")
    if dry_run:
        return
    from provenance.training.serve import main

    raise typer.Exit(main(["--model", str(folder), "--name", model["name"], "--port", str(port)]))
