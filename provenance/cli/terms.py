"""`provenance terms`: the catalogue of providers' output terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from provenance.cli.connect import is_remote, local_settings, open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table
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
    local_settings()
    from provenance.terms.catalogue import load_catalogue

    return load_catalogue()


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
