"""The search page: ids, digests and names. An id that names one thing leads straight to it."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.links import entry_url
from provenance.api.views.common import Link
from provenance.api.views.overview import Hit, SearchPage
from provenance.errors import NotFoundError
from provenance.store.log import find_head, list_statements
from provenance.store.lookup import find_index
from provenance.store.models import list_models
from provenance.store.pages import find_by_prefix, find_samples, list_slices
from provenance.store.releases import list_releases
from provenance.store.tables import StatementRow

router = APIRouter()
SHOWN_HITS = 50
ID_KINDS = (
    "decision", "release", "run", "model", "report", "student", "policy", "terms", "capture", "agreement", "exception",
    "erasure",
)  # fmt: skip
MIN_PREFIX = 3


@add_page(router, "/search", "json", "csv")
def search(asked: PageDep, q: str = "") -> Response:
    """Where is this id, digest or name."""
    query = q.strip()
    hits = list(dict.fromkeys(_find(asked, query))) if query else []
    exact = [hit for hit in hits if query in {hit.link.text, hit.link.url.rpartition("/")[2]}]
    if len(exact) == 1 and "text/html" in asked.request.headers.get("accept", ""):
        return RedirectResponse(exact[0].link.url, 303)
    return asked.answer(SearchPage(query, hits[:SHOWN_HITS], max(0, len(hits) - SHOWN_HITS)))


def _find(asked: Asked, query: str) -> Iterator[Hit]:
    yield from _find_entries(asked, query)
    if len(query) >= MIN_PREFIX:
        for row in find_by_prefix(asked.session, ID_KINDS, query, limit=SHOWN_HITS):
            yield _hit(row, "its id begins with this")
    yield from _find_names(asked, query.lower())


def _find_entries(asked: Asked, query: str) -> Iterator[Hit]:
    for row in find_samples(asked.session, query):
        by_index = query == str(row.index)
        why = "its index" if by_index else f"its external id is {query}"
        yield Hit("sample", Link(str(row.index) if by_index else f"Sample {row.index}", f"/samples/{row.index}"), why)
    head = find_head(asked.session)
    if query.isdecimal() and head is not None and int(query) < head.size:
        yield Hit("entry", Link(f"Entry {int(query)}", f"/log/entries/{int(query)}"), "the log entry of this index")
    digest = query if query.startswith("sha256:") else f"sha256:{query}"
    try:
        index = find_index(asked.session, "digest", digest)
    except NotFoundError:
        return
    yield Hit("entry", Link(f"Entry {index}", f"/log/entries/{index}"), "it names this digest")


def _find_names(asked: Asked, query: str) -> Iterator[Hit]:
    for release in list_releases(asked.session):
        name = f"{release['name']}@{release['version']}"
        if query in name.lower():
            yield Hit("release", Link(name, f"/releases/{name}"), f"data set {release['dataset']}")
    for model in list_models(asked.session):
        name = f"{model['provider']}/{model['name']}"
        if query in name.lower():
            yield Hit("model", Link(name, f"/models/{model['id']}"), model["kind"])
    for row in list_statements(asked.session, "student"):
        if query in row.predicate["facts"]["name"].lower():
            yield Hit("student", Link(row.predicate["facts"]["name"], f"/log/entries/{row.index}"), row.key)
    for teacher in dict.fromkeys(item.fact_class.teacher for item in list_slices(asked.session)):
        if query in teacher.lower():
            yield Hit("teacher", Link(teacher, f"/samples?teacher={teacher}"), "its samples")
    for document in asked.runtime.catalogue.documents:
        if query in f"{document.id} {document.title} {document.provider}".lower():
            yield Hit("terms", Link(document.title, f"/terms/{document.id}"), document.id)


def _hit(row: StatementRow, why: str) -> Hit:
    return Hit(
        row.kind, Link(row.key, entry_url(row.kind, row.index, row.predicate) or f"/log/entries/{row.index}"), why
    )
