"""`provenance run`: training runs."""

from __future__ import annotations

import sys
from typing import Annotated

import orjson
import typer

from provenance.cli.connect import open_client
from provenance.cli.follow import follow_events
from provenance.cli.output import JsonOption, print_json, print_line, print_table
from provenance.cli.release import error_of_job, wait_for
from provenance.cli.train import print_run

app = typer.Typer(help="Training runs.", no_args_is_help=True)
COLUMNS = ("id", "state", "release", "student", "recipe", "model")
RunArgument = Annotated[str, typer.Argument(help="Id of a run.")]


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List runs, newest first."""
    with open_client() as client:
        rows = client.get("/api/v1/runs")["runs"]
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, ([row.get(name) for name in COLUMNS] for row in rows), empty="No run.")


@app.command("show")
def show(identifier: RunArgument, as_json: JsonOption = False) -> None:
    """Show a run."""
    with open_client() as client:
        run = client.get(f"/api/v1/runs/{identifier}")
    if as_json:
        print_json(run)
    else:
        print_run(run)


@app.command("logs")
def logs(identifier: RunArgument, as_json: JsonOption = False) -> None:
    """Follow a run's events until it ends."""
    with open_client() as client, client.download(f"/api/v1/runs/{identifier}/events") as chunks:
        from provenance.client.events import iterate_events

        events = iterate_events(chunks)
        if not as_json:
            follow_events(events)
            return
        for event in events:
            sys.stdout.buffer.write(orjson.dumps(event) + b"\n")
            sys.stdout.flush()


@app.command("cancel")
def cancel(identifier: RunArgument, as_json: JsonOption = False) -> None:
    """Ask a run to stop at its next step."""
    with open_client() as client:
        answer = client.post(f"/api/v1/runs/{identifier}/cancel")
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer['id']}: asked to stop; its state is {answer['state']}")


@app.command("resume")
def resume(
    identifier: RunArgument,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a run that was cancelled, failed or lost go on from its checkpoint. Exits 5, with the decision, where it may not."""
    with open_client() as client:
        answer = client.post(f"/api/v1/runs/{identifier}/resume")
        run = wait_for(client, answer["status_url"], "run") if wait else None
    if as_json:
        print_json(answer if run is None else run)
    elif run is None:
        print_line(f"{answer['id']}: goes on from step {answer['step']}, attempt {answer['attempt']}")
    else:
        print_run(run)
    if run is not None and run["state"] != "done":
        raise error_of_job("run", run)
