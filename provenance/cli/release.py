"""`provenance release`: frozen, approved sets of samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import open_client
from provenance.cli.follow import describe_step
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table, say, show_progress
from provenance.cli.student import declared
from provenance.errors import DeniedError, ProvenanceError

app = typer.Typer(help="Releases: what a student may learn from.", no_args_is_help=True)
COLUMNS = ("id", "name", "version", "state", "dataset", "counts")


@app.command("create")
def create(
    dataset: Annotated[str, typer.Argument(help="The dataset to release from.")],
    student: Annotated[str, typer.Option(help="Name or id of a declared student, or a .json file of its facts.")],
    name: Annotated[str, typer.Option(help="Name of the release; it gets the next version.")],
    teacher: Annotated[str | None, typer.Option(help="Only samples of this teacher (PROVIDER/MODEL).")] = None,
    route: Annotated[str | None, typer.Option(help="Only samples that came by this route.")] = None,
    evidence: Annotated[str | None, typer.Option(help="Only samples of this evidence grade.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is built.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Ask the gate, freeze what it allows, quarantine the rest. Exits 5 where nothing is allowed."""
    chosen = {"teacher": teacher, "route": route, "evidence": evidence}
    with open_client(as_person=True) as client:
        selection = {field: value for field, value in chosen.items() if value is not None}
        body = {"dataset": dataset, "student": declared(client, student), "name": name, "selection": selection}
        made = client.post("/api/v1/releases", body)
        if not wait:
            _print_started(made, as_json=as_json)
            return
        release = wait_for(client, made["status_url"], "release")
    if as_json:
        print_json(release)
    else:
        print_release(release)
    raise_unless_usable(release)


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List releases, newest first."""
    with open_client() as client:
        rows = client.get("/api/v1/releases")["releases"]
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, ([_plain(row[name]) for name in COLUMNS] for row in rows), empty="No release.")


@app.command("show")
def show(reference: Annotated[str, typer.Argument(help="NAME@VERSION or id.")], as_json: JsonOption = False) -> None:
    """Show a release: what was selected, released and quarantined, and which conditions travel with it."""
    with open_client() as client:
        release = client.get(f"/api/v1/releases/{reference}")
    if as_json:
        print_json(release)
    else:
        print_release(release)


@app.command("pull")
def pull(
    reference: Annotated[str, typer.Argument(help="NAME@VERSION or id.")],
    folder: Annotated[Path, typer.Argument(help="Where to; made when missing.")],
    student: Annotated[str | None, typer.Option(help="Refuse unless it was made for this student.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a release, verified, into a folder that `datasets.load_dataset` opens."""
    with open_client() as client:
        from provenance.client.release import pull_release

        manifest = pull_release(client, reference, folder, student=student)
    _print_verified(manifest, folder, as_json=as_json)


@app.command("verify")
def verify(
    release: Annotated[str, typer.Argument(help="A release's folder, NAME@VERSION or id.")],
    student: Annotated[str | None, typer.Option(help="Refuse unless it was made for this student.")] = None,
    keys: Annotated[Path | None, typer.Option(help="Keys that you trust, as `keys list --json` prints them.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a release: attestation, state, files, entries, words, log. With --keys a folder needs no service."""
    from provenance.cli.files import read_list
    from provenance.client.release import verify_release

    trusted = read_list(keys) if keys is not None else None
    if trusted is not None and Path(release).is_dir():
        manifest = verify_release(release, student=student, keys=trusted)
    else:
        with open_client() as client:
            manifest = verify_release(release, student=student, keys=trusted, client=client)
    _print_verified(manifest, release, as_json=as_json)


@app.command("withdraw")
def withdraw(
    reference: Annotated[str, typer.Argument(help="NAME@VERSION or id.")],
    reason: Annotated[str, typer.Option(help="Why; it is logged and shown.")],
    as_json: JsonOption = False,
) -> None:
    """Take a release back: nothing is trained on it any more, its data is not given out; its evidence stays."""
    with open_client(as_person=True) as client:
        said = client.post(f"/api/v1/releases/{reference}/withdraw", {"reason": reason})
    if as_json:
        print_json(said)
    else:
        print_line(f"{reference} is withdrawn: entry {said['entry']}")


@app.command("diff")
def diff(
    before: Annotated[str, typer.Argument(help="NAME@VERSION or id.")],
    after: Annotated[str, typer.Argument(help="NAME@VERSION or id.")],
    rows: Annotated[int, typer.Option(min=0, max=500, help="How many of the samples to list.")] = 20,
    change: Annotated[str | None, typer.Option(help="List only the samples added, removed or same.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What differs from one release to another: samples, classes, terms, packs, conditions, quarantine."""
    with open_client() as client:
        said = client.get(f"/api/v1/releases/{before}/diff/{after}", change=change, limit=max(1, rows))
    if as_json:
        print_json(said)
        return
    from provenance.cli.release_diff import print_diff

    print_diff(said, rows=rows)


@app.command("approve")
def approve(
    reference: Annotated[str, typer.Argument(help="NAME@VERSION or id.")],
    reason: Annotated[str | None, typer.Option(help="What you want to have on record.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Agree to a release as another person than the one who asked for it; see PROVENANCE_TOKEN."""
    with open_client(as_person=True) as client:
        said = client.post(f"/api/v1/releases/{reference}/approve", {"reason": reason})
    if as_json:
        print_json(said)
    else:
        print_line(f"{reference} is approved by {said['approval']['approved_by']}: entry {said['entry']}")


def wait_for(client: Any, url: str, what: str) -> dict[str, Any]:
    """Wait for a job with a bar that follows its progress; a job that failed is an error."""
    with show_progress() as progress:
        task = progress.add_task(what, total=None)

        def follow(body: Mapping[str, Any]) -> None:
            label, done, total = read_progress(body.get("progress") or {})
            progress.update(task, description=f"{what}: {label or body.get('state')}", completed=done, total=total)

        body: dict[str, Any] = client.wait(url, on_update=follow)
    if body.get("state") == "failed":
        raise error_of_job(what, body)
    return body


def read_progress(said: Mapping[str, Any]) -> tuple[str | None, int, int | None]:
    """What a job does, how much of it is done, out of how much; a training's step is a number, others' a word."""
    if said.get("waits_for"):  # a training in the queue
        return f"waits for {said['waits_for']}", 0, None
    if isinstance(said.get("step"), Mapping):  # the newest event of a training
        said = said["step"]
    step, done, total = (
        said.get("step", said.get("steps")),
        said.get("done"),
        said.get("total") or said.get("total_steps"),
    )
    if isinstance(step, str):
        return step, done if isinstance(done, int) else 0, total if isinstance(total, int) else None
    label = describe_step(said) if said.get("event") == "step" else said.get("phase") or said.get("event")
    return label, step if isinstance(step, int) else 0, total if isinstance(total, int) else None


def error_of_job(what: str, body: Mapping[str, Any]) -> ProvenanceError:
    """The error that a failed job ended with."""
    from provenance.client.problem import restore

    said = body.get("error")
    if isinstance(said, Mapping) and said.get("code"):
        return restore(said)
    return ProvenanceError(f"{what} {body.get('id')} failed: {said or 'no reason is recorded'}")


def raise_unless_usable(release: Mapping[str, Any]) -> None:
    """Leave with the gate's answer where nothing may be used."""
    if release["state"] in {"blocked", "recalled", "withdrawn"}:
        name = f"{release['name']}@{release['version']}"
        raise DeniedError(
            f"release {name} is {release['state']}; see the decision",
            release.get("decision"),
            code="release-not-allowed",
        )


def print_release(release: Mapping[str, Any]) -> None:
    """A release for people."""
    counts, decision = release.get("counts") or {}, release.get("decision") or {}
    print_fields(
        {
            "release": f"{release['name']}@{release['version']} ({release['id']})",
            "state": release["state"],
            "dataset": release["dataset"],
            "student": release["student"],
            **{name: counts.get(name) for name in ("selected", "released", "quarantined")},
            "decision": f"{decision.get('verdict')} ({decision.get('id')})" if decision else None,
            "manifest": release.get("manifest_digest"),
            "entry": release.get("entry"),
        }
    )
    for item in release.get("conditions") or []:
        print_line(
            f"condition: {item['type']} ({item['status']}): {item['requirement']} ({item['document']}, {item['clause']})"
        )
    approval = release.get("approval")
    if approval and approval["state"] == "approved":
        print_line(f"approved by {approval['approved_by']} on {approval['at']} (entry {approval['entry']})")
    elif approval:
        print_line(
            f"awaits a second person ({', '.join(rule['id'] for rule in approval['rules'])}): until then no data"
        )
        print_line(f"  provenance release approve {release['name']}@{release['version']}")
    if release.get("withdrawn"):
        said = release["withdrawn"]
        print_line(f"withdrawn by {said['actor']} on {said['at']} (entry {said['entry']}): {said['reason']}")
    if release.get("error"):
        print_line(f"error: {release['error'].get('detail')}")


def _print_started(made: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        print_line(f"{made['name']}@{made['version']} is {made['id']}, building: {made['status_url']}")


def _print_verified(manifest: Mapping[str, Any], where: Any, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "folder": str(where), "manifest": dict(manifest)})
        return
    rows = sum(item["rows"] for item in manifest["files"])
    print_line(
        f"verified: {manifest['name']}@{manifest['version']}, {rows:,} samples in {len(manifest['files'])} files"
    )
    say(f"{where}: signature, state, files, entries, words and log proof hold")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {item}" for name, item in value.items())
    return value
