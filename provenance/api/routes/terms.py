"""Terms: the documents of the catalogue, which words were in force when, and new ones."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from provenance.api.body import read_json
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.errors import NotFoundError
from provenance.govern import measure_impact, plan, record_terms
from provenance.policy.exposure import Exposure, find_exposure
from provenance.store.log import read_statement
from provenance.store.session import read_session
from provenance.terms.record import TermsPlan

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


@router.get("/{identifier}/impact")
def show_impact(identifier: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """What a document binds, and which past verdicts its newest change flips (`impact`; null for its first record)."""
    bound = find_exposure(session, runtime.catalogue).get(identifier, Exposure())
    return {**measure_impact(runtime, session, identifier), "exposure": bound.describe()}


@router.post("", status_code=201)
def post_terms(
    runtime: RuntimeDep,
    actor: WriterDep,
    key: IdempotencyDep,
    response: Response,
    body: Annotated[Any, Depends(read_json)],
    dry_run: bool = False,
    accept_unsettled: bool = False,
) -> dict[str, Any]:
    """Record a new document, or a new version of one: `{provider, ...}` in the form that `GET /terms/{id}` answers with.

    It is in force at once. `dry_run` answers with what would change and records nothing. A gap or an overlap with its
    neighbours is refused, unless `accept_unsettled` says that the world is so.
    """
    actor.require("govern")
    if dry_run:
        response.status_code = 200
        planned, impact = plan(runtime, body, accept_unsettled=accept_unsettled)
        return {**describe_plan(planned), "impact": impact}
    receipt = record_terms(
        runtime, body, by=actor.name, accept_unsettled=accept_unsettled, key=make_id("terms", key) if key else None
    )
    with read_session(runtime.engine) as session:
        said = read_statement(session, receipt.first_index).predicate
    names = ("id", "document_digest", "catalogue_digest", "recorded_at", "recorded_by")
    return {"entry": receipt.first_index, **{name: said[name] for name in names}}


def describe_plan(plan: TermsPlan) -> dict[str, Any]:
    """What recording a document would do."""
    return {
        "id": plan.document.id,
        "document_digest": plan.document.digest,
        "replaces": plan.replaced.digest if plan.replaced else None,
        "catalogue_digest": plan.after.digest,
        "changes": [vars(change) for change in plan.changes],
        "unsettled": [vars(found) for found in plan.unsettled],
    }
