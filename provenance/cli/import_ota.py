"""`provenance import ota`: the history of terms that an archive in Open Terms Archive form holds.

The history is read here; what was found goes to the service, local or at `PROVENANCE_URL`, which keeps and signs it.
Nothing enters the catalogue.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from provenance.cli.connect import open_client
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table, say, show_progress
from provenance.errors import NotFoundError

if TYPE_CHECKING:
    from provenance.client.client import Client
    from provenance.terms.archive.history import Fetched, History

URL = "/api/v1/terms/archives"


def ota(
    path: Annotated[Path, typer.Argument(help="A git bundle, a bare repository or a checkout.")],
    name: Annotated[str | None, typer.Option(help="What to call the archive; the file's name without it.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be recorded, record nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import the history of terms from an archive in Open Terms Archive form: versions, and passages to review."""
    with tempfile.TemporaryDirectory(prefix="provenance-texts-") as folder:
        index = read_archive(path, name or path.name, Path(folder))
        summary = _summarise(index)
        answer = {"recorded": 0} if dry_run else _send(index, Path(folder))
    if as_json:
        print_json({**summary, **answer})
    else:
        _show(summary, answer, dry_run=dry_run)


def read_archive(path: Path, name: str, folder: Path) -> dict[str, Any]:
    """The index of an archive; the texts of its versions are left in `folder`, named by their digests."""
    from provenance.terms.archive.history import open_history
    from provenance.terms.archive.timeline import build_timeline, make_index

    def keep(digest: str, text: bytes) -> None:
        (folder / digest.removeprefix("sha256:")).write_bytes(text)

    say(f"reading {path}")
    with open_history(path) as history:
        return make_index(history, build_timeline(_watch(history), keep), name)


def _watch(history: History) -> Iterator[Fetched]:
    with show_progress() as progress:
        task = progress.add_task("texts", total=sum(len(commit.files) for commit in history.commits))
        for item in history.iterate():
            yield item
            progress.advance(task)


def _send(index: dict[str, Any], folder: Path) -> dict[str, Any]:
    with open_client() as client:
        known = _known_texts(client, index["id"])
        digests = sorted({version["digest"] for item in index["documents"] for version in item["versions"]} - known)
        with show_progress() as progress:
            for digest in progress.track(digests, description="kept"):
                text = (folder / digest.removeprefix("sha256:")).read_bytes()
                client.request("PUT", f"{URL}/{index['id']}/texts/{quote(digest)}", content=text)
        answer: dict[str, Any] = client.post(URL, index)
    return {
        "recorded": 0 if answer["replayed"] else 1, "entry": answer["entry"], "index_digest": answer["index_digest"],
        "new_texts": len(digests),
    }  # fmt: skip


def _known_texts(client: Client, identifier: str) -> set[str]:
    try:
        known = client.get(f"{URL}/{identifier}")["index"]
    except NotFoundError:
        return set()
    return {version["digest"] for item in known["documents"] for version in item["versions"]}


def _summarise(index: dict[str, Any]) -> dict[str, Any]:
    from provenance.terms.archive.aliases import load_aliases
    from provenance.terms.archive.index import count
    from provenance.terms.catalogue import load_catalogue

    aliases = load_aliases(load_catalogue())
    names = [(item["service"], item["document"]) for item in index["documents"]]
    unknown = [f"{service} / {document}" for service, document in names if aliases.find(service, document) is None]
    return {
        "id": index["id"], "name": index["name"], "source_commit": index["source_commit"], **count(index),
        "unknown_documents": len(unknown), "unknown": unknown,
        "versions_by_document": {
            f"{item['service']} / {item['document']}": len(item["versions"]) for item in index["documents"]
        },
    }  # fmt: skip


def _show(summary: dict[str, Any], answer: dict[str, Any], *, dry_run: bool) -> None:
    print_table(("document", "versions"), list(summary.pop("versions_by_document").items()), empty="No document.")
    reasons = summary.pop("folded_by_reason")
    print_fields(summary)
    print_table(("folded because", "texts"), list(reasons.items()), empty="Nothing was folded.")
    if dry_run:
        print_line("nothing was recorded")
    elif answer["recorded"]:
        print_line(
            f"recorded as entry {answer['entry']}; {summary['passages']} passages wait: provenance terms review list"
        )
    else:
        print_line(f"nothing new: recorded before as entry {answer['entry']}")
