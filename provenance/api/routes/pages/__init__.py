"""The dashboard's pages, a module a noun: each route parses, queries, fills a view and answers in the form asked for."""

from __future__ import annotations

from fastapi import APIRouter

from provenance.api.routes.pages import (
    decisions,
    erasures,
    log,
    models,
    overview,
    policies,
    releases,
    reports,
    runs,
    samples,
    search,
    sources,
)

router = APIRouter(include_in_schema=False)
for _noun in (overview, samples, sources, policies, decisions, releases, runs, models, reports, erasures, log, search):
    router.include_router(_noun.router)
