"""Routes by noun: the JSON interface here, pages beside it in `pages`."""

from __future__ import annotations

from importlib import import_module

from fastapi import APIRouter

NOUNS = (
    "health",
    "samples",
    "datasets",
    "collections",
    "students",
    "decisions",
    "archives",  # before terms, whose ids stand in the same place
    "agreements",
    "exceptions",
    "captures",
    "terms",
    "policies",
    "releases",
    "runs",
    "models",
    "lineage",
    "reports",
    "erasures",
    "recalls",
    "log",
    "gateway",
    "pages",
)


def all_routers() -> list[APIRouter]:
    """The router of every noun, in the order in which they are tried."""
    return [import_module(f"{__name__}.{noun}").router for noun in NOUNS]
