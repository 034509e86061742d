"""Terms: the documents of the catalogue, which words were in force when."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from provenance.api.deps import ReaderDep, RuntimeDep
from provenance.errors import NotFoundError

router = APIRouter(prefix="/api/v1/terms", tags=["terms"])


@router.get("")
def index_terms(runtime: RuntimeDep, _: ReaderDep, provider: str | None = None) -> dict[str, Any]:
    """All documents, or one provider's."""
    documents = [item for item in runtime.catalogue.documents if provider in {None, item.provider}]
    return {
        "catalogue_digest": runtime.catalogue.digest,
        "documents": [
            {
                "id": item.id,
                "provider": item.provider,
                "title": item.title,
                "version": item.version,
                "effective_from": item.effective_from,
                "effective_to": item.effective_to,
                "verified": item.verified,
                "digest": item.digest,
            }
            for item in documents
        ],
    }


@router.get("/{identifier}")
def show_terms(identifier: str, runtime: RuntimeDep, _: ReaderDep) -> dict[str, Any]:
    """One document: every clause fact with its clause, our reading, and whether a text was read for it."""
    for document in runtime.catalogue.documents:
        if document.id == identifier:
            return {"digest": document.digest, **document.to_json()}
    raise NotFoundError(f"there is no terms document {identifier!r} in the catalogue")
