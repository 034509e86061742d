"""The dashboard's pages, a module a noun: each route parses, queries, fills a view and answers in the form asked for."""

from __future__ import annotations

from importlib import import_module

from fastapi import APIRouter

NOUNS = (
    "overview",
    "samples",
    "archives",  # before sources, whose names stand in the same place
    "collections",
    "sources",
    "policies",
    "agreements",
    "exceptions",
    "compare",
    "decisions",
    "releases",
    "release_diff",
    "runs",
    "models",
    "lineage",
    "reports",
    "erasures",
    "recalls",
    "log",
    "search",
)

router = APIRouter(include_in_schema=False)
for _noun in NOUNS:
    router.include_router(import_module(f"{__name__}.{_noun}").router)
