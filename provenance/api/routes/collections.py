"""Collections: facts about data sets that others gathered, recorded with what our rules say of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from provenance.api.body import read_json
from provenance.api.deps import ReaderDep, RuntimeDep, SessionDep, WriterDep
from provenance.capture.collection.names import load_names
from provenance.policy.collection.examine import KIND, examine
from provenance.policy.collection.files import FOLDER, write_files
from provenance.store.collections import get_curation, list_curations
from provenance.store.log import find_statement

router = APIRouter(prefix="/api/v1/collections", tags=["collections"])


@router.post("", status_code=201)
def post_collection(
    runtime: RuntimeDep,
    session: SessionDep,
    actor: WriterDep,
    response: Response,
    body: Annotated[Any, Depends(read_json)],
) -> dict[str, Any]:
    """Record the facts of a collection of data set summaries; the same ones again record nothing (200)."""
    actor.require("capture")
    examined = examine(body, names=load_names(), catalogue=runtime.catalogue, pack=runtime.pack)
    write_files(examined, runtime.folder(FOLDER))
    predicate = examined.predicate()
    before = find_statement(session, "curation", examined.id)
    if before is not None:
        response.status_code = 200
        return {"entry": before.index, "replayed": True, **predicate}
    subjects = [(f"{examined.id}/{item['path']}", item["digest"]) for item in predicate["files"]]
    receipt = runtime.append("curation", predicate, subjects=subjects, once=(examined.id, predicate))
    return {"entry": receipt.first_index, "replayed": receipt.replayed, **predicate}


@router.get("")
def index_collections(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """The recorded collections, newest first."""
    return {
        "collections": [
            {"id": row.key, "origin": row.predicate["origin"], "entry": row.index, "counts": row.predicate["counts"]}
            for row in list_curations(session, KIND)
        ]
    }


@router.get("/{identifier}")
def show_collection(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One collection: counts, kinds of difference, digests of its files."""
    row = get_curation(session, KIND, identifier)
    return {"entry": row.index, **row.predicate}
