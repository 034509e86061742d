"""`provenance terms`: the catalogue of providers' output terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import is_remote, open_client
from provenance.cli.files import read_bytes, read_object
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table
from provenance.cli.policy import print_replay
from provenance.cli.review import app as review_app
from provenance.cli.review import history
from provenance.errors import NotFoundError

app = typer.Typer(help="Terms of providers, as the catalogue holds them.", no_args_is_help=True)
app.add_typer(review_app, name="review")
app.command("history")(history)
COLUMNS = ("id", "provider", "title", "version", "effective_from", "effective_to", "verified")


@app.command("list")
def list_all(
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None, as_json: JsonOption = False
) -> None:
    """List the documents."""
    rows = [{name: item.get(name) for name in COLUMNS} for item in _documents() if provider in {None, item["provider"]}]
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, ([row[name] for name in COLUMNS] for row in rows), empty="No document.")


@app.command("show")
def show(identifier: Annotated[str, typer.Argument(help="Id of a document.")], as_json: JsonOption = False) -> None:
    """Show one document with every clause fact."""
    document = _get(identifier)
    if as_json:
        print_json(document)
    else:
        print_fields(dict(_flatten(document)))


@app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="Id of the older document.")],
    new: Annotated[str, typer.Argument(help="Id of the newer one.")],
    as_json: JsonOption = False,
) -> None:
    """Show what two documents say differently, fact by fact."""
    before, after = dict(_flatten(_get(old))), dict(_flatten(_get(new)))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if as_json:
        print_json([{"fact": name, "old": before.get(name), "new": after.get(name)} for name in names])
        return
    for name in names:
        print_line(name)
        print_line(f"  - {before.get(name, 'not there')}")
        print_line(f"  + {after.get(name, 'not there')}")
    if not names:
        print_line("They say the same.")


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="YAML or JSON: one document, with its provider.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; record nothing.")] = False,
    accept_unsettled: Annotated[
        bool, typer.Option(help="Take it although a gap or an overlap with its neighbours comes from it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Record a new document, or a new version of one; it is in force at once."""
    value = _read(file)
    wanted = {"dry_run": dry_run, "accept_unsettled": accept_unsettled}
    query = "&".join(f"{name}=true" for name, chosen in wanted.items() if chosen)
    with open_client() as client:
        said = client.post(f"/api/v1/terms{'?' + query if query else ''}", value)
    if as_json:
        print_json(said)
    elif dry_run:
        _print_plan(said)
    else:
        print_line(f"{said['id']} is in force, entry {said['entry']}, digest {said['document_digest']}")


@app.command("impact")
def impact(identifier: Annotated[str, typer.Argument(help="Id of a document.")], as_json: JsonOption = False) -> None:
    """Show what a document binds, and which past verdicts its newest change flips."""
    with open_client() as client:
        said = client.get(f"/api/v1/terms/{identifier}/impact")
    if as_json:
        print_json(said)
        return
    bound = said["exposure"]
    print_line(f"{identifier} binds {bound['samples']:,} samples")
    print_line(
        f"releases: {', '.join(bound['releases']) or 'none'}; students: {', '.join(bound['students']) or 'none'}"
    )
    if said["impact"] is None:
        print_line(f"It is as it was first recorded (entry {said['entry']}): no change, no flip.")
        return
    print_line(
        f"Changed at {said['recorded_at']} (entry {said['entry']}) by {said['recorded_by'] or 'the shipped files'}"
    )
    for change in said["changes"]:
        print_line(f"  {'!' if change['material'] else ' '} {change['text']}")
    print_replay(said["impact"])


def _read(file: Path) -> Any:
    if file.suffix in (".yaml", ".yml"):
        from provenance.terms.yaml_file import parse_yaml

        return parse_yaml(read_bytes(file), file.name)
    return read_object(file)


def _print_plan(said: Mapping[str, Any]) -> None:
    print_line(f"{said['id']}: {'a new version' if said['replaces'] else 'a new document'}; nothing was recorded")
    for change in said["changes"]:
        print_line(f"  {'!' if change['material'] else ' '} {change['text']}")
    for found in said["unsettled"]:
        print_line(f"  {found['kind']}: {found['text']}")
    print_replay(said["impact"])


def _documents() -> list[dict[str, Any]]:
    if is_remote():
        with open_client() as client:
            found: list[dict[str, Any]] = client.get("/api/v1/terms")["documents"]
            return found
    return [_as_json(item) for item in _catalogue().documents]


def _get(identifier: str) -> dict[str, Any]:
    if is_remote():
        with open_client() as client:
            document: dict[str, Any] = client.get(f"/api/v1/terms/{identifier}")
            return document
    for item in _catalogue().documents:
        if item.id == identifier:
            return _as_json(item)
    raise NotFoundError(
        f"there is no terms document {identifier!r} in the catalogue; `provenance terms list` names all"
    )


def _catalogue() -> Any:
    from provenance.cli.local import load_in_force

    return load_in_force().catalogue


def _as_json(document: Any) -> dict[str, Any]:
    return {
        "digest": document.digest, "id": document.id, "provider": document.provider, "title": document.title,
        "version": document.version, "effective_from": document.effective_from, "effective_to": document.effective_to,
        "verified": document.verified, **document.to_json(),
    }  # fmt: skip


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flatten(item, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for at, item in enumerate(value):
            name = item.get("id") or item.get("type") if isinstance(item, Mapping) else None
            yield from _flatten(item, f"{prefix}[{name or at}]")
    else:
        yield prefix, value
