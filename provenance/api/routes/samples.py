"""Samples: take them in, read them back with their proof."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from provenance.api.body import read_body
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep
from provenance.canonical import parse_json
from provenance.capture.evidence import sample_evidence
from provenance.capture.sample import parse_samples
from provenance.errors import FieldError, MalformedError
from provenance.ledger.merkle import leaf_hash
from provenance.report.evidence import bundle_sample
from provenance.runtime import Runtime
from provenance.store.erasures import find_erasure_of
from provenance.store.log import find_content, get_statement, read_entry
from provenance.store.samples import get_sample
from provenance.store.session import read_session

router = APIRouter(prefix="/api/v1", tags=["samples"])
SOURCES = ("api", "sdk", "cli", "import")


@router.post("/samples", status_code=201)
def post_samples(
    request: Request,
    runtime: RuntimeDep,
    actor: WriterDep,
    key: IdempotencyDep,
    body: Annotated[bytes, Depends(read_body)],
    source: str = "api",
    capture: str | None = None,
) -> dict[str, Any]:
    """Record samples: a JSON array, or one JSON object a line (`application/x-ndjson`). Answers once they are durable.

    `source=import` marks samples that somebody claims to have: their evidence grade is `claimed`, not `declared`.
    `capture` is the id of the open capture that they belong to (`POST /api/v1/captures`).
    """
    actor.require("capture")
    if source not in SOURCES:
        expected = " | ".join(SOURCES)
        raise MalformedError(f"source: expected {expected}", FieldError("source", source, expected))
    lines = "ndjson" in request.headers.get("content-type", "")
    samples = parse_samples(body, now=runtime.clock(), lines=lines)
    opened = None if capture is None else _find_capture(runtime, capture)
    receipt = runtime.recorder.record(samples, source=source, idempotency_key=key, capture=opened)
    return {
        "first_index": receipt.first_index,
        "count": len(samples),
        "batch_index": receipt.first_index + receipt.count - 1,
        "tree_size": receipt.tree_size,
        "checkpoint": receipt.checkpoint,
        "replayed": receipt.replayed,
    }


def _find_capture(runtime: Runtime, identifier: str) -> dict[str, Any]:
    with read_session(runtime.engine) as session:  # no connection is held while the writer is waited for
        return get_statement(session, "capture", identifier).predicate


@router.get("/samples/{index}")
def show_sample(index: int, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One sample: its statement, leaf hash and, unless erased, its words."""
    row = get_sample(session, index)
    entry = read_entry(session, index)
    statement = parse_json(entry)
    content = find_content(session, index)
    return {
        "index": index,
        "statement": statement,
        "leaf_hash": f"sha256:{leaf_hash(entry).hex()}",
        "content": content and {"prompt": content["prompt"], "completion": content["completion"]},
        "erased": content is None,
        "erasure": find_erasure_of(session, index) if content is None else None,
        "fact_class": statement["predicate"]["fact_class"],
        "batch_index": row.batch_index,
    }


@router.get("/samples/{index}/proof", response_class=PlainTextResponse)
def show_sample_proof(index: int, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> Response:
    """The `.tlog-proof` of a sample (C2SP tlog-proof)."""
    get_sample(session, index)
    return PlainTextResponse(runtime.prover(session, newest=index).proof_text(index))


@router.get("/samples/{index}/evidence")
def show_sample_bundle(index: int, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> Response:
    """The evidence bundle of a sample; `provenance verify` checks it offline."""
    data = bundle_sample(runtime, session, index)
    headers = {"Content-Disposition": f'attachment; filename="sample-{index}.zip"'}
    return Response(data, media_type="application/zip", headers=headers)


@router.get("/samples/{index}/evidence.json")
def show_sample_evidence(index: int, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """Everything that a browser needs to verify a sample by itself."""
    prover = runtime.prover(session, newest=get_sample(session, index).batch_index)
    return sample_evidence(session, runtime.ring, index, prover)
