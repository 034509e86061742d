"""`provenance terms review` and `terms history`: what the archives on record hold, and the passages that wait for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_json, print_line, print_table
from provenance.errors import NotFoundError

URL = "/api/v1/terms/archives"
app = typer.Typer(help="Changed passages of terms that wait for a person.", no_args_is_help=True)


@app.callback()
def explain() -> None:
    """Changed passages of terms that wait for a person."""


@app.command("list")
def list_passages(
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that were looked at, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the passages that nobody has looked at yet, old words and new ones."""
    rows = [
        item
        for archive in _archives()
        for item in archive["index"]["passages"]
        if (every or item["review"] is None) and (topic is None or topic in item["topics"])
    ]
    if as_json:
        print_json(rows)
        return
    for item in rows:
        place = item["places"][0]
        more = f" and {len(item['places']) - 1} more" if len(item["places"]) > 1 else ""
        print_line(f"{item['id']}  {', '.join(item['topics'])}")
        print_line(f"  {place['service']} / {place['document']}, fetched {place['fetched_at'][:10]}{more}")
        if item["changed_by"] == "archive":
            print_line("  the archive's own extraction changed here, not the provider's page")
        print_line(f"  - {item['old'] or '(not there)'}")
        print_line(f"  + {item['new'] or '(gone)'}")
        if item["review"]:
            print_line(f"  looked at by {item['review']['actor']}: {item['review']['reason']}")
    print_line(f"{len(rows)} passages" if rows else "No passage waits.")


@app.command("mark")
def mark(
    passage: Annotated[str, typer.Argument(help="Id of the passage.")],
    reason: Annotated[str, typer.Option(help="What you make of it; it is logged with your name.")],
    as_json: JsonOption = False,
) -> None:
    """Log that you looked at a passage. The catalogue does not change by it."""
    with open_client() as client:
        made = client.post(f"{URL}/passages/{passage}/review", {"reason": reason})
    if as_json:
        print_json(made)
    else:
        print_line(f"{passage} was looked at, entry {made['entry']}")


def history(
    subject: Annotated[
        str, typer.Argument(help="A provider, a service, a document of an archive or of the catalogue.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show which texts an archive holds, from when, and which document of the catalogue each stands beside."""
    rows = [row for row in _rows() if subject.casefold() in row["names"]]
    if not rows:
        raise NotFoundError(f"no archive on record holds texts of {subject!r}; `provenance import ota` records one")
    for row in rows:
        del row["names"]
    columns = ("service", "document", "from", "fetched", "beside", "digest")
    if as_json:
        print_json(rows)
    else:
        print_table(columns, ([row[name] for name in columns] for row in rows), empty="No text.")


def _rows() -> Iterator[dict[str, Any]]:
    from provenance.terms.archive.aliases import load_aliases
    from provenance.terms.archive.beside import list_beside
    from provenance.terms.catalogue import load_catalogue

    catalogue = load_catalogue()
    aliases = load_aliases(catalogue)
    for archive in _archives():
        for item in archive["index"]["documents"]:
            service, document = item["service"], item["document"]
            alias = aliases.find(service, document)
            provider = aliases.providers.get(service, "")
            for version in item["versions"]:
                beside = [found.id for found in list_beside(catalogue, alias, version["begins"])]
                names = {service, document, f"{service}/{document}", provider, *beside}
                yield {
                    "service": service, "document": document, "from": version["begins"],
                    "fetched": version["fetched_at"], "beside": beside, "digest": version["digest"],
                    "commit": version["commit"], "names": {name.casefold() for name in names},
                }  # fmt: skip


def _archives() -> list[dict[str, Any]]:
    with open_client() as client:
        return [client.get(f"{URL}/{row['id']}") for row in client.get(URL)["archives"]]
