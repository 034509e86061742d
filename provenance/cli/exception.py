"""`provenance exception`: rules set aside for one student, asked for by one person and approved by two others.

Each of them is known by a token. Embedded, too, a command speaks with `PROVENANCE_TOKEN` where it is set, and otherwise for
whoever sits at the terminal, who can neither ask nor approve.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from provenance.cli.agreement import print_held
from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_json, print_line, print_table

app = typer.Typer(
    help="Exceptions: named rules set aside, with a reason, an end and two approvers.", no_args_is_help=True
)
COLUMNS = ("id", "state", "student", "rules", "expires_on", "requested_by", "approved_by")
IdArgument = Annotated[str, typer.Argument(help="Its id.")]


@app.command("request")
def request(
    student: Annotated[str, typer.Option(help="Name or id of a declared student.")],
    rule: Annotated[list[str], typer.Option(help="Id of a rule to set aside; may be repeated.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    expires_on: Annotated[str, typer.Option(help="Its last day, YYYY-MM-DD, at most 90 days from now.")],
    action: Annotated[list[str], typer.Option(help="train, release, publish, serve or distill; may be repeated.")],
    dataset: Annotated[str | None, typer.Option(help="Only for this data set.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Only for this PROVIDER/MODEL.")] = None,
    fact_class: Annotated[
        list[str] | None, typer.Option(help="Only for this fact class, sha256:…; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for an exception; it lifts nothing until two others have approved it."""
    body = {
        "student": student, "rules": rule, "reason": reason, "expires_on": expires_on, "actions": action,
        "dataset": dataset, "teacher": teacher, "fact_classes": fact_class or None,
    }  # fmt: skip
    with open_client(as_person=True) as client:
        made = client.post("/api/v1/exceptions", body)
    if as_json:
        print_json(made)
    else:
        print_line(f"exception {made['id']} is requested, entry {made['entry']}; it needs two approvals")


@app.command("approve")
def approve(
    identifier: IdArgument,
    reason: Annotated[str | None, typer.Option(help="What you want on record with it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Approve an exception; the second approval makes it active."""
    _take_step(identifier, "approve", reason, as_json=as_json)


@app.command("refuse")
def refuse(
    identifier: IdArgument, reason: Annotated[str, typer.Option(help="Why.")], as_json: JsonOption = False
) -> None:
    """Refuse an exception; that is final."""
    _take_step(identifier, "refuse", reason, as_json=as_json)


@app.command("revoke")
def revoke(
    identifier: IdArgument, reason: Annotated[str, typer.Option(help="Why.")], as_json: JsonOption = False
) -> None:
    """End an exception: it lifts nothing any more, and no run starts from a release that was decided with it."""
    _take_step(identifier, "revoke", reason, as_json=as_json)


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List the exceptions, newest request first."""
    with open_client() as client:
        rows = client.get("/api/v1/exceptions")["exceptions"]
    if as_json:
        print_json(rows)
        return
    shown = ({**row, "student": row["student"]["name"]} for row in rows)
    print_table(COLUMNS, ([row[name] for name in COLUMNS] for row in shown), empty="No exception.")


@app.command("show")
def show(identifier: IdArgument, as_json: JsonOption = False) -> None:
    """Show an exception: scope, state, who took which step, and which decisions used it."""
    with open_client() as client:
        exception: dict[str, Any] = client.get(f"/api/v1/exceptions/{identifier}")
    if as_json:
        print_json(exception)
    else:
        print_held({**exception, "student": f"{exception['student']['name']} ({exception['student']['id']})"})


def _take_step(identifier: str, step: str, reason: str | None, *, as_json: bool) -> None:
    with open_client(as_person=True) as client:
        done = client.post(f"/api/v1/exceptions/{identifier}/{step}", {"reason": reason})
    if as_json:
        print_json(done)
    else:
        print_line(f"exception {identifier} is {done['state']}, entry {done['entry']}")
