"""`provenance model`: teachers and students are one kind of thing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table, say
from provenance.errors import FieldError, MalformedError

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


@app.command("card")
def card(
    reference: Annotated[str, typer.Argument(help="Id or PROVIDER/NAME.")],
    form: Annotated[str, typer.Option("--format", help="md (README.md with the hub's metadata) or json.")] = "md",
    output: Annotated[Path | None, typer.Option(help="File to write; standard output without it.")] = None,
) -> None:
    """Print a model's card: teachers, terms, conditions, restrictions, data, scorecard, compute, as it stands today."""
    if form not in {"md", "json"}:
        raise MalformedError("--format: expected md or json", FieldError("format", form, "md or json"))
    with open_client() as client:
        data = client.request("GET", f"/api/v1/models/{reference}/card", params={"format": form}).content
    if output is None:
        typer.echo(data.decode(), nl=not data.endswith(b"\n"))
    else:
        output.write_bytes(data)
        say(f"written to {output}")


@app.command("publish")
def publish(
    reference: Annotated[str, typer.Argument(help="Id or PROVIDER/NAME of a model that was trained here.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to write; empty, or not there.")],
    name: Annotated[str | None, typer.Option(help="Under which it is published; its declared name without it.")] = None,
    notice: Annotated[list[str] | None, typer.Option(help="Notice to show with it; may be repeated.")] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="DOCUMENT=FILE: a licence's text, or LICENSE=FILE; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write weights, card, papers, evidence and signature for others. Exits 5 where policies or its lineage say no."""
    from provenance.client.model import check_target, fetch_publication

    check_target(to)
    texts = dict(_read_text(item) for item in text or ())
    with open_client(as_person=True) as client:
        body = {"name": name, "notices": notice or [], "texts": texts}
        said = client.post(f"/api/v1/models/{reference}/publish", body)
        fetch_publication(client, said, to)
    if as_json:
        print_json(said)
        return
    print_line(f"{said['name']} is published ({said['verdict']}): entry {said['entry']}")
    say(
        f"{len(said['files']) + 1} files in {to}; check: python -m model_signing verify key --signature {to}/model.sig "
        f"--public_key model.pem {to}   (`provenance keys export model --output model.pem`)"
    )


def _read_text(item: str) -> tuple[str, str]:
    document, _, path = item.partition("=")
    expected = "DOCUMENT=FILE, a readable text file"
    try:
        if document and path:
            return document, Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise MalformedError(f"--text: expected {expected}: {exc}", FieldError("text", item, expected)) from exc
    raise MalformedError(f"--text: expected {expected}", FieldError("text", item, expected))
