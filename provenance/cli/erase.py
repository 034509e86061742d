"""`provenance erase`: take the text of chosen samples away, on one person's request and another's approval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table, say
from provenance.cli.release import error_of_job, wait_for
from provenance.errors import FieldError, MalformedError

app = typer.Typer(help="Erase the text of samples; the log keeps its proofs.", invoke_without_command=True)
COLUMNS = ("id", "state", "count", "requester", "approver", "requested_at", "reason")
ErasureArgument = Annotated[str, typer.Argument(help="Id of an erasure.")]


@app.callback(invoke_without_command=True)
def erase(
    context: typer.Context,
    index: Annotated[list[str] | None, typer.Option(help="An entry index, or a run: 6-9. May be repeated.")] = None,
    external_id: Annotated[list[str] | None, typer.Option(help="An external id. May be repeated.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Samples of this dataset; narrow it with --selection.")] = None,
    selection: Annotated[
        list[str] | None, typer.Option(help="teacher=P/M, route=R, evidence=G or fact_class=DIGEST. May be repeated.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is logged for good, so do not quote the text.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would take; change and log nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask that text be erased. It is done once another person runs `provenance erase approve ID`."""
    if context.invoked_subcommand is not None:
        return
    body: dict[str, Any] = {"indices": index or [], "external_ids": external_id or [], "dataset": dataset}
    body["selection"] = _parse_selection(selection or [])
    if not dry_run:
        if reason is None:
            raise MalformedError("--reason: expected why the text must go", FieldError("reason", None, "a reason"))
        body["reason"] = reason
    with open_client(as_person=True) as client:
        said = client.post("/api/v1/erasures/preview" if dry_run else "/api/v1/erasures", body)
    if as_json:
        print_json(said)
        return
    _print_effect(said)
    if not dry_run:
        say(f"Asked for. Another person approves it: provenance erase approve {said['id']}")


@app.command("approve")
def approve(
    identifier: ErasureArgument,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Agree to an erasure, as another person than the one who asked; PROVENANCE_TOKEN says who you are."""
    with open_client(as_person=True) as client:
        made = client.post(f"/api/v1/erasures/{identifier}/approve")
        said = wait_for(client, made["status_url"], "erasure") if wait else client.get(made["status_url"])
    if as_json:
        print_json(said)
    else:
        _print_erasure(said)
    if wait and said["state"] != "done":
        raise error_of_job("erasure", said)


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List erasures, newest first."""
    with open_client() as client:
        rows = client.get("/api/v1/erasures")["erasures"]
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, ([row[name] for name in COLUMNS] for row in rows), empty="No erasure.")


@app.command("show")
def show(identifier: ErasureArgument, as_json: JsonOption = False) -> None:
    """Show an erasure: who asked, who agreed, what went, what is out of reach."""
    with open_client() as client:
        said = client.get(f"/api/v1/erasures/{identifier}")
    if as_json:
        print_json(said)
    else:
        _print_erasure(said)


def _parse_selection(items: list[str]) -> dict[str, str]:
    found = {}
    for item in items:
        name, mark, value = item.partition("=")
        if not mark:
            expected = "NAME=VALUE, such as teacher=openai/gpt-4o"
            raise MalformedError(f"--selection: expected {expected}", FieldError("selection", item, expected))
        found[name] = value
    return found


def _print_effect(said: Mapping[str, Any]) -> None:
    print_fields({name: said[name] for name in ("id", "count", "tokens", "indices_digest") if name in said})
    for item in said["datasets"]:
        print_line(f"dataset {item['name']}: {item['samples']:,} samples, {item['tokens_share']:.1%} of its tokens")
    for item in said["releases"]:
        print_line(f"release {item['name']}@{item['version']} holds {item['samples']:,} of them: it is withdrawn")


def _print_erasure(said: Mapping[str, Any]) -> None:
    print_fields({name: said[name] for name in COLUMNS if name != "count"} | {"ended_at": said["ended_at"]})
    _print_effect(said)
    for item in said.get("out_of_reach", ()):
        print_line(f"out of reach: {item}")
