"""Datasets: named sets of samples."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from provenance.api.deps import ReaderDep, RuntimeDep, SessionDep
from provenance.api.source_facts import describe_sources
from provenance.store.log import get_head
from provenance.store.samples import count_classes, get_dataset, list_datasets

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"])


@router.get("")
def index_datasets(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All datasets with their counts."""
    rows = list_datasets(session)
    return {"datasets": [{"name": row.name, "samples": row.samples, "tokens": row.tokens} for row in rows]}


@router.get("/{name}")
def show_dataset(name: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One dataset, the fact classes of its samples, and what recorded collections say of where they came from."""
    row = get_dataset(session, name)
    classes = count_classes(session, name, {}, get_head(session).size)
    return {
        "name": row.name,
        "samples": row.samples,
        "tokens": row.tokens,
        "classes": [
            {"fact_class": item.digest, "facts": item.facts, "samples": item.samples, "tokens": item.tokens}
            for item in classes
        ],
        "sources": describe_sources(session, runtime, [item.facts for item in classes]),
    }
