"""Models: teachers and students are one kind of thing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from pydantic import Field

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.api.once import find_done, once_of
from provenance.canonical import canonical_bytes
from provenance.errors import NotFoundError
from provenance.lineage.rings import refuse_ring
from provenance.publication.card import format_card
from provenance.publication.describe import describe_model
from provenance.publication.judge import judge_publication, refuse_taken
from provenance.publication.publish import find_file, publish_model
from provenance.store.log import find_statement, read_statement
from provenance.store.models import get_model, list_models
from provenance.store.publications import get_publication, list_publications
from provenance.store.session import read_session

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


class PublishRequest(RequestBody):
    """Under which name a model is to be published, the notices shown with it, and licence texts by the id of their document."""

    name: str | None = None
    notices: list[str] = Field(default_factory=list)
    texts: dict[str, str] = Field(default_factory=dict)


@router.post("/{reference:path}/publish", status_code=201)
def post_publication(
    reference: str, body: PublishRequest, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Publish a model: refused where policies, its lineage, a recall or a withdrawal stand against it."""
    actor.require("release")
    once = once_of("pub", key, {"model": reference, **body.model_dump(), "actor": actor.name})
    if (done := find_done(runtime, once)) is not None:
        with read_session(runtime.engine) as session:
            return {**read_statement(session, done.first_index).predicate, "entry": done.first_index, "replayed": True}
    return publish_model(runtime, reference, actor=actor.name, **body.model_dump(), once=once)


@router.get("/{reference:path}/card")
def show_card(
    reference: str,
    runtime: RuntimeDep,
    session: SessionDep,
    _: ReaderDep,
    form: Annotated[Literal["md", "json"], Query(alias="format")] = "md",
) -> Response:
    """The model's card as it would be published today, with what stands against that."""
    model = get_model(session, reference)
    said = describe_model(session, model, judge_publication(runtime, session, model))
    if form == "json":
        return Response(canonical_bytes(said), media_type="application/json")
    return Response(format_card(said), media_type="text/markdown; charset=utf-8")


@router.get("/{reference:path}/publications/{publication}/{path:path}")
def show_published(
    reference: str, publication: str, path: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep
) -> FileResponse:
    """One file of a published model; none is given out once a recall or a withdrawal reached it."""
    model, said = get_model(session, reference), get_publication(session, publication)
    if said["model"] != model["id"]:
        raise NotFoundError(f"publication {publication} is of another model than {reference}")
    refuse_taken(session, model)
    return FileResponse(
        find_file(runtime, said, path), media_type="application/octet-stream", filename=path.rpartition("/")[2]
    )


@router.get("/{reference:path}/publications")
def index_publications(reference: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """Under which names a model was published, newest first."""
    return {"publications": list_publications(session, get_model(session, reference)["id"])}


@router.get("/{reference:path}")
def show_model(reference: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One model, by id or `provider/name`."""
    return get_model(session, reference)
