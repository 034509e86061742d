"""Pages of erasures: the list, and one erasure."""

from __future__ import annotations

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.views.common import Link
from provenance.api.views.erasures import DatasetShare, ErasedRun, ErasurePage, ErasureRow, ErasuresPage, Withdrawn
from provenance.store.erasures import get_erasure, list_erasures, load_indices

router = APIRouter()


@add_page(router, "/erasures", "json", "csv")
def index_erasures(asked: PageDep) -> Response:
    """Which erasures there are, newest first."""
    rows = [
        ErasureRow(
            samples=item["count"],
            **{name: item[name] for name in ("id", "state", "requested_at", "requester", "approver", "reason")},
        )
        for item in list_erasures(asked.session)
    ]
    return asked.answer(ErasuresPage(rows))


@add_page(router, "/erasures/{identifier}", "json", "csv")
def show_erasure(identifier: str, asked: PageDep) -> Response:
    """One erasure."""
    return asked.answer(fill_erasure(asked, identifier))


def fill_erasure(asked: Asked, identifier: str) -> ErasurePage:
    """The page of an erasure.

    Raises:
        NotFoundError: there is none.
    """
    said = get_erasure(asked.session, identifier)
    names = ("id", "state", "reason", "requester", "approver", "requested_at", "ended_at", "tokens", "indices_digest")
    return ErasurePage(
        **{name: said[name] for name in names},
        samples=said["count"],
        rows=[ErasedRun(first, last, last - first + 1) for first, last in load_indices(asked.session, identifier).runs],
        datasets=[DatasetShare(**item) for item in said["datasets"]],
        releases=[Withdrawn(f"{item['name']}@{item['version']}", item["samples"]) for item in said["releases"]],
        runs=[Link(run, f"/runs/{run}") for run in said.get("runs", ())],
        entries=[
            Link(f"{item['phase']}, entry {item['index']}", f"/log/entries/{item['index']}") for item in said["entries"]
        ],
        out_of_reach=said.get("out_of_reach", ()),
        error=said["error"] and said["error"]["detail"],
    )
