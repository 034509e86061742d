"""Models: teachers and students are one kind of thing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.lineage.rings import refuse_ring
from provenance.store.log import find_statement
from provenance.store.models import get_model, list_models

router = APIRouter(prefix="/api/v1/models", tags=["models"])


class ModelRequest(RequestBody):
    """A model that others made: hosted, or with open weights. Models trained here register themselves."""

    provider: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")
    kind: str = Field(pattern=r"^(hosted|open-weights)$")
    revision: str | None = None
    weights_digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    license: str | None = None
    parents: list[str] = Field(default_factory=list)
    parameters_count: int | None = Field(default=None, ge=1)
    files: list[dict[str, Any]] = Field(default_factory=list)


@router.post("", status_code=201)
def post_model(
    body: ModelRequest, runtime: RuntimeDep, session: SessionDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Register a model."""
    actor.require("release")
    identifier = make_id("mdl", key)
    if find_statement(session, "model", identifier) is None:  # a repeated request is answered as the first was
        refuse_ring(session, f"{body.provider}/{body.name}", body.parents)
    predicate = {"id": identifier, **body.model_dump(), "run": None, "evaluation": None, "conditions": []}
    subjects = [(f"{body.provider}/{body.name}", body.weights_digest)] if body.weights_digest else []
    receipt = runtime.append("model", predicate, subjects=subjects, once=(identifier, predicate))
    return {"id": identifier, "entry": receipt.first_index}


@router.get("")
def index_models(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All registered models, newest first."""
    return {"models": list_models(session)}


@router.get("/{reference:path}")
def show_model(reference: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One model, by id or `provider/name`."""
    return get_model(session, reference)
