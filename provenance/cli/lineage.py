"""`provenance lineage`: what something was made from, and what was made of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from provenance.cli.connect import open_client
from provenance.cli.files import write_bytes
from provenance.cli.output import JsonOption, print_fields, print_json, print_table

app = typer.Typer(help="What something was made from, and what was made of it.", no_args_is_help=True)
URL = "/api/v1/lineage"
COLUMNS = ("distance", "kind", "label", "via", "ref")
Root = Annotated[
    str, typer.Argument(help="Model id or PROVIDER/NAME, release id or NAME@VERSION, run or report id, sample:ENTRY.")
]
Depth = Annotated[int | None, typer.Option("--depth", help="How many steps to go; all by default.")]


def _get(path: str, **query: Any) -> Any:
    with open_client() as client:
        return client.get(URL + path, **{name: value for name, value in query.items() if value is not None})


@app.command("show")
def show(root: Root, as_json: JsonOption = False) -> None:
    """Show what taught it, its generation, and every clause that reached it."""
    shares, taint = _get("/shares", root=root), _get("/taint", root=root)
    if as_json:
        print_json({"shares": shares, "taint": taint})
        return
    fields = ("generation", "self_made_share", "samples", "tokens")
    print_fields({**{name: shares[name] for name in fields}, "tainted": taint["tainted"]})
    rows = ([item["name"], item["tokens"], _percent(item["share"])] for item in shares["teachers"])
    print_table(("teacher", "tokens", "share"), rows, empty="No samples are behind it.")
    rows = ([_way(item), item["kind"], item["document"], item["clause"], item["status"]] for item in taint["items"])
    print_table(("way", "kind", "document", "clause", "status"), rows, empty="No clause reached it.")


@app.command("ancestors")
def ancestors(root: Root, depth: Depth = None, as_json: JsonOption = False) -> None:
    """List what it was made from, nearest first."""
    _print(_get("", root=root, direction="ancestors", depth=depth), as_json=as_json)


@app.command("descendants")
def descendants(root: Root, depth: Depth = None, as_json: JsonOption = False) -> None:
    """List what was made of it, nearest first."""
    _print(_get("", root=root, direction="descendants", depth=depth), as_json=as_json)


@app.command("path")
def path(start: Root, end: Root, as_json: JsonOption = False) -> None:
    """Show how one thing reaches another."""
    found = _get("/path", **{"from": start, "to": end})
    if as_json:
        print_json(found)
        return
    steps = ["", *(step["relation"] for step in found["steps"] or ())]
    rows = ([step, node["kind"], node["label"], node["ref"]] for step, node in zip(steps, found["nodes"], strict=False))
    print_table(("step", "kind", "label", "ref"), rows, empty="No way leads from one to the other.")


@app.command("export")
def export(
    root: Root,
    format_name: Annotated[str, typer.Option("--format", help="prov-json or openlineage.")],
    direction: Annotated[str, typer.Option("--direction", help="ancestors or descendants.")] = "ancestors",
    depth: Depth = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write into this file; else it is printed.")
    ] = None,
) -> None:
    """Write the lineage around it in a format of another standard."""
    asked = {"root": root, "format": format_name, "direction": direction, "depth": depth}
    with open_client() as client:
        data = client.request("GET", f"{URL}/export", params=asked).content
    if output is None:
        typer.echo(data, nl=False)
        return
    write_bytes(output, data)
    typer.echo(f"{len(data):,} bytes in {output}")


@app.command("emit")
def emit(
    root: Root,
    url: Annotated[
        str, typer.Option("--url", envvar="PROVENANCE_OPENLINEAGE_URL", help="The endpoint, up to /api/v1/lineage.")
    ],
    direction: Annotated[str, typer.Option("--direction", help="ancestors or descendants.")] = "ancestors",
    depth: Depth = None,
) -> None:
    """Post its lineage to an OpenLineage endpoint, again if need be: an event that is sent twice is the same event."""
    from provenance.recall.addresses import check_webhook
    from provenance.recall.deliver import Post, deliver_event

    check_webhook("url", url)
    asked = {"root": root, "format": "openlineage", "direction": direction, "depth": depth}
    with open_client() as client:
        lines = client.request("GET", f"{URL}/export", params=asked).content.splitlines()
    post = Post(openlineage_key=os.environ.get("PROVENANCE_OPENLINEAGE_API_KEY"))
    for line in lines:
        deliver_event(post, url, orjson.loads(line))
    typer.echo(f"{len(lines):,} events were taken by {url}")


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    names = {node["id"]: node["label"] for node in found["nodes"]}
    print_table(COLUMNS, ([_cell(node, name, names) for name in COLUMNS] for node in found["nodes"]), empty="Nothing.")
    if found["left_out"]:
        typer.echo(f"{found['left_out']:,} of {found['total']:,} are further away and not shown.")
    for ring in found["rings"]:
        typer.echo(
            f"{'A claimed ring' if ring['claimed'] else 'Samples folded in a ring'}: {', '.join(ring['members'])}"
        )


def _cell(node: dict[str, Any], name: str, names: dict[int, str]) -> Any:
    if name != "via":
        return node[name]
    via = node["via"]
    other = via and (via["parent"] if via["child"] == node["id"] else via["child"])
    return f"{via['relation']}: {names[other]}" if via else "start"


def _way(item: dict[str, Any]) -> str:
    return f"{'direct' if item['direct'] else 'inherited'}, {item['mode']}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
