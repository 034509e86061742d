"""`provenance keys`: the public halves of all keys."""

from __future__ import annotations

import typer

from provenance.cli.connect import is_remote, local_settings, open_client
from provenance.cli.local import read_keys
from provenance.cli.output import JsonOption, print_json, print_table

app = typer.Typer(help="Keys: one purpose each.", no_args_is_help=True)
COLUMNS = ("purpose", "name", "algorithm", "state", "valid_from", "valid_to", "keyid")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List every key there ever was, with what verifies its signatures."""
    if is_remote():
        with open_client() as client:
            keys = client.get("/api/v1/keys")
    else:
        keys = [record.to_public() for record in read_keys(local_settings())]
    if as_json:
        print_json(keys)
        return
    print_table(COLUMNS, ([key.get(name) for name in COLUMNS] for key in keys), empty="No keys.")
