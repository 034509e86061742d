"""`provenance recall`: from something tainted to everything that it reached, held back until two people agree it is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table, say
from provenance.errors import FieldError, MalformedError

app = typer.Typer(help="Recall what something tainted reached.", no_args_is_help=True)
COLUMNS = ("id", "state", "source_text", "opened_by", "opened_at", "acts_settled", "acts_total")
RecallArgument = Annotated[str, typer.Argument(help="Id of a recall.")]
SourceArgument = Annotated[
    str,
    typer.Argument(
        help="KIND:ID with KIND provider, teacher, dataset, terms, collector-key, erasure, release or model; "
        'or JSON, such as \'{"kind": "samples", "indices": ["6-9"]}\'.'
    ),
]


@app.command("plan")
def plan(source: SourceArgument, as_json: JsonOption = False) -> None:
    """Show what a recall would reach; change and log nothing."""
    with open_client() as client:
        said = client.post("/api/v1/recalls/preview", {"source": parse_source(source)})
    if as_json:
        print_json(said)
        return
    print_fields({name: said[name] for name in ("source_text", "later", "log_size", "reach_digest")})
    _print_reach(said["reach"])


@app.command("open")
def open_(
    source: SourceArgument,
    reason: Annotated[str, typer.Option(help="Why; it is logged, and told to whom you notify.")],
    running: Annotated[str, typer.Option(help="Trainings that are going: stop or flag.")] = "stop",
    notify: Annotated[
        list[str] | None, typer.Option(help="https://... or mailto:...; tried for a week. May be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Freeze the reach and hold it back at once. Another person closes the recall."""
    body = {"source": parse_source(source), "reason": reason, "running": running, "notify": notify or []}
    with open_client(as_person=True) as client:
        made = client.post("/api/v1/recalls", body)
        said = client.get(made["status_url"])
    if as_json:
        print_json(said)
        return
    _print_recall(said)
    say(f"Held back. Follow it with `provenance recall status {said['id']}`; another person closes it.")


@app.command("status")
def status(
    identifier: Annotated[str | None, typer.Argument(help="Id of a recall; without one, all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one recall with its acts, or list all."""
    with open_client() as client:
        said = client.get("/api/v1/recalls" + (f"/{identifier}" if identifier else ""))
    if as_json:
        print_json(said if identifier else said["recalls"])
    elif identifier:
        _print_recall(said)
    else:
        print_table(COLUMNS, ([row[name] for name in COLUMNS] for row in said["recalls"]), empty="No recall.")


@app.command("act")
def act(
    identifier: RecallArgument,
    act: Annotated[str, typer.Argument(help="Id of the act, as `recall status` shows it.")],
    note: Annotated[str, typer.Option(help="What was done, or why it is waived.")],
    result: Annotated[str, typer.Option(help="done, failed, or waived (not by who opened it).")] = "done",
    as_json: JsonOption = False,
) -> None:
    """Say what came of an act."""
    with open_client(as_person=True) as client:
        said = client.post(f"/api/v1/recalls/{identifier}/acts", {"act": act, "result": result, "note": note})
    print_json(said) if as_json else print_line(f"{act} is {result}: entry {said['entry']}")


@app.command("close")
def close(
    identifier: RecallArgument,
    reason: Annotated[str, typer.Option(help="Why it is over.")],
    outcome: Annotated[str, typer.Option(help="upheld (stays held back) or lifted (a false alarm).")] = "upheld",
    as_json: JsonOption = False,
) -> None:
    """Close a recall, as another person than who opened it; PROVENANCE_TOKEN says who you are."""
    with open_client(as_person=True) as client:
        said = client.post(f"/api/v1/recalls/{identifier}/close", {"outcome": outcome, "reason": reason})
    print_json(said) if as_json else print_line(f"{identifier} is {outcome}: entry {said['entry']}")


@app.command("prove")
def prove(identifier: RecallArgument, as_json: JsonOption = False) -> None:
    """Make the list again from the entries alone: exits 6 where it is not what was frozen."""
    with open_client() as client:
        said = client.post(f"/api/v1/recalls/{identifier}/prove")
    if as_json:
        print_json(said)
        return
    print_fields(said)
    print_line("complete: the entries give this list, neither more nor less")


def parse_source(text: str) -> dict[str, Any]:
    """A source from `KIND:ID` or JSON.

    Raises:
        MalformedError: it is neither.
    """
    kind, mark, identifier = text.partition(":")
    if mark and not text.startswith("{"):
        return {"kind": kind, "id": identifier}
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        expected = "KIND:ID, or a JSON object"
        raise MalformedError(f"SOURCE: expected {expected}", FieldError("source", text, expected))
    return value


def _print_recall(said: Mapping[str, Any]) -> None:
    print_fields({name: said[name] for name in (*COLUMNS[:5], "reason", "log_size", "reach_digest", "closed_by")})
    if said["reach"] is not None:
        _print_reach(said["reach"])
    rows = ([item["id"], item["state"], item["actor"] or "", item["note"] or item["text"]] for item in said["acts"])
    print_table(("act", "state", "by", "what"), rows, empty="Nothing has to be done.")
    for item in said["notices"]:
        if item["state"] != "sent":
            print_line(
                f"{item['address']}: {item['state']}, {item['attempts']} tries, {item['last_error'] or 'not yet'}"
            )


def _print_reach(reach: Mapping[str, Any]) -> None:
    counts = reach["counts"].items()
    print_line("reached: " + ", ".join(f"{count:,} {name if count != 1 else name[:-1]}" for name, count in counts))
    for item in reach["releases"]:
        print_line(f"release {item['name']}@{item['version']}: {item['how']}, generation {item['generation']}")
    for item in reach["models"]:
        print_line(f"model {item['name']} ({item['id']}): {item['how']}, generation {item['generation']}")
