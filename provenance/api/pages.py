"""What every page's route shares: one view, answered as HTML, JSON or CSV, with the log as this page saw it.

- `/x` answers by `Accept`; `/x.json` and `/x.csv` force the form. All three are made from the same view.
- `render_error_page` works without the database too: an error may be about just that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from provenance.api.deps import ReaderDep, RuntimeDep, SessionDep, get_runtime
from provenance.api.rendering import render_page
from provenance.api.views.common import Page, Site
from provenance.api.views.overview import ErrorPage, FieldProblem
from provenance.api.views.twins import page_csv, page_json
from provenance.runtime import Runtime
from provenance.store.log import get_head
from provenance.store.session import read_session

TWINS = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
Endpoint = Callable[..., Response]


@dataclass(frozen=True)
class Asked:
    """One request for a page: who reads it has been checked, the session sees one snapshot."""

    request: Request
    runtime: Runtime
    session: Session

    def answer(self, page: Page) -> Response:
        """The page in the form that was asked for."""
        form = _find_form(self.request, page)
        headers = {"Vary": "Accept"}
        if form == "json":
            return Response(page_json(page), media_type=TWINS["json"], headers=headers)
        if form == "csv":
            return Response(page_csv(page), media_type=TWINS["csv"], headers=headers)
        return HTMLResponse(
            render_page(page, find_site(self.runtime, self.session), page_url(self.request)), headers=headers
        )


def get_asked(request: Request, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> Asked:
    """The request of a page, by somebody who may read."""
    return Asked(request, runtime, session)


PageDep = Annotated[Asked, Depends(get_asked)]


def add_page(router: APIRouter, path: str, *twins: str) -> Callable[[Endpoint], Endpoint]:
    """Register a page's route under its path and, before it, under those of its twins (`json`, `csv`)."""

    def register(endpoint: Endpoint) -> Endpoint:
        base = "/index" if path == "/" else path
        for twin in twins:
            router.add_api_route(f"{base}.{twin}", endpoint, name=f"{endpoint.__name__}_{twin}", response_model=None)
        router.add_api_route(path, endpoint, response_model=None)
        return endpoint

    return register


def page_url(request: Request) -> str:
    """Path and query as they were asked for; a twin's extension belongs to neither."""
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def find_site(runtime: Runtime, session: Session) -> Site:
    """The log as this session sees it, and its witnesses."""
    head, account = get_head(session), runtime.account()
    return Site(head.origin, head.size, head.updated_at, account.agreeing, len(account.witnesses))


def _find_form(request: Request, page: Page) -> str:
    forced = request.url.path.rpartition(".")[2]
    if forced in page.twins:
        return forced
    accepted = request.headers.get("accept", "")
    if "text/html" in accepted:
        return "html"
    return next((twin for twin in page.twins if TWINS[twin].partition(";")[0] in accepted), "html")


def render_error_page(request: Request, body: Mapping[str, Any]) -> str:
    """An error as a page, out of its problem body."""
    decision = body.get("decision")
    page = ErrorPage(
        status=body["status"],
        title=body["title"],
        detail=body["detail"],
        code=body["code"],
        errors=[_field_problem(item) for item in body.get("errors", ())],
        decision_id=decision.get("id") if isinstance(decision, Mapping) else None,
    )
    return render_page(page, _find_site_safely(get_runtime(request)), page_url(request))


def _field_problem(item: Mapping[str, Any]) -> FieldProblem:
    value = item["value"]
    return FieldProblem(item["field"], None if value is None else str(value), item["expected"])


def _find_site_safely(runtime: Runtime) -> Site:
    try:
        with read_session(runtime.engine) as session:
            return find_site(runtime, session)
    except SQLAlchemyError:
        return Site(runtime.ring.origin, None, None)
