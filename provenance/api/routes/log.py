"""The log: its public files (C2SP tlog-tiles), its keys, and look-ups with proof."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from provenance.api.deps import ReaderDep, RuntimeDep, SessionDep
from provenance.attestation.envelope import parse_entry
from provenance.canonical import parse_json
from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.ledger.keys import list_public
from provenance.ledger.multiproof import parse_ranges
from provenance.ledger.prove import Prover
from provenance.ledger.tiles import TILE_WIDTH, format_entry_bundle, parse_tile_path
from provenance.store.log import get_head, iterate_entries, load_tile, read_entry
from provenance.store.lookup import LOOKUP_KINDS, find_index

router = APIRouter(tags=["log"])
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


@router.get("/log/checkpoint", response_class=PlainTextResponse)
def show_checkpoint(session: SessionDep) -> Response:
    """The newest signed checkpoint (C2SP tlog-checkpoint)."""
    return PlainTextResponse(get_head(session).checkpoint, headers={"Cache-Control": "no-cache"})


@router.get("/log/vkey", response_class=PlainTextResponse)
def show_vkeys(runtime: RuntimeDep) -> Response:
    """The log's verifier keys, one a line."""
    return PlainTextResponse("".join(f"{vkey}\n" for vkey in runtime.ring.vkey_lines))


@router.get("/log/tile/{path:path}")
def show_tile(path: str, session: SessionDep, _: ReaderDep) -> Response:
    """A tile of hashes or a bundle of entries (C2SP tlog-tiles), full or partial."""
    try:
        tile = parse_tile_path(f"tile/{path}")
    except MalformedError as exc:
        raise NotFoundError(exc.detail) from exc
    headers = IMMUTABLE
    if tile.level is not None:
        data = load_tile(session, tile.level, tile.index, tile.width)
        return Response(data, media_type="application/octet-stream", headers=headers)
    start = tile.index * TILE_WIDTH
    entries = [entry for _, entry in iterate_entries(session, start, start + tile.width)]
    if len(entries) < tile.width:
        raise NotFoundError(f"the log does not hold {tile.width} entries of bundle {tile.index} yet")
    return Response(format_entry_bundle(entries), media_type="application/octet-stream", headers=headers)


@router.get("/api/v1/log")
def show_log(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """Origin, tree size, root and time of the newest checkpoint."""
    head = get_head(session)
    return {
        "origin": head.origin,
        "tree_size": head.size,
        "root": b64encode(head.root).decode(),
        "checkpoint": head.checkpoint,
        "updated_at": head.updated_at,
    }


@router.get("/api/v1/log/consistency")
def show_consistency(session: SessionDep, _: ReaderDep, old_size: int) -> dict[str, Any]:
    """The proof that the log of `old_size` entries is a prefix of the newest checkpoint's."""
    prover = Prover(session)
    if not 0 < old_size <= prover.head.size:
        expected = f"1 to {prover.head.size}"
        raise MalformedError(f"old_size: expected {expected}", FieldError("old_size", old_size, expected))
    proof = [b64encode(value).decode() for value in prover.consistency(old_size)]
    return {"old_size": old_size, "new_size": prover.head.size, "proof": proof, "checkpoint": prover.head.checkpoint}


@router.get("/api/v1/log/proof", response_class=PlainTextResponse)
def show_multi_proof(session: SessionDep, _: ReaderDep, indices: str) -> Response:
    """One proof for a set of entries (`indices=0-4,7`): what their inclusion proofs share stands in it once."""
    return PlainTextResponse(Prover(session).multi_proof_text(parse_ranges(indices)))


@router.get("/api/v1/log/entries/{index}")
def show_entry(index: int, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One entry: its bytes, what it says, and its proof."""
    return _entry(session, index)


@router.get("/api/v1/log/lookup/{kind}/{key:path}")
def look_up(kind: str, key: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """The newest entry of this kind and key, with proof and checkpoint."""
    if kind not in LOOKUP_KINDS:
        expected = " | ".join(LOOKUP_KINDS)
        raise MalformedError(f"kind: expected {expected}", FieldError("kind", kind, expected))
    return _entry(session, find_index(session, kind, key))


def _entry(session: Any, index: int) -> dict[str, Any]:
    prover = Prover(session)
    proof = prover.proof_text(index)
    data = read_entry(session, index)
    statement = parse_entry(data)
    return {
        "entry": parse_json(data),  # its canonical form (RFC 8785) is the bytes that the leaf hash is over
        "bytes": b64encode(data).decode(),
        "kind": statement.kind,
        "predicate": dict(statement.predicate),
        "index": index,
        "proof": proof,
        "checkpoint": prover.head.checkpoint,
    }


@router.get("/api/v1/keys")
def index_keys(runtime: RuntimeDep) -> list[dict[str, Any]]:
    """All keys there ever were: purpose, public half, state, times."""
    return list_public(runtime.ring)
