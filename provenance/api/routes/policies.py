"""Policies: which pack is in force, what another would have changed of the past, and how it comes into force."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlmodel import Session

from provenance.api.body import RequestBody, read_json
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.errors import FieldError, MalformedError
from provenance.govern import approve_pack, propose_pack
from provenance.policy.pack import load_pack
from provenance.policy.past import replay_pack
from provenance.policy.proposal import parse_pack
from provenance.policy.recorded import find_pack_statement
from provenance.runtime import Runtime
from provenance.store.history import list_history
from provenance.store.log import find_content, get_statement, read_statement
from provenance.store.session import read_session
from provenance.store.tables import StatementRow

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])
MAX_NAME = 200


class ApprovalRequest(RequestBody):
    """What the approver has seen: the proposal's digest, and the digest of its replay."""

    digest: Annotated[str, Field(max_length=MAX_NAME)]
    replay_digest: Annotated[str, Field(max_length=MAX_NAME)]


@router.get("")
def index_policies(runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """The pack in force, whether the shipped one is another, and every statement about packs, newest first."""
    return describe_policies(runtime, session)


def describe_policies(runtime: Runtime, session: Session) -> dict[str, Any]:
    """See `index_policies`."""
    row, shipped = find_pack_statement(session), load_pack()
    history = [_fill(item) for item in reversed(list_history(session, ["policy"]))]
    return {
        "in_force": {"id": runtime.pack.id, "digest": runtime.pack.digest, "entry": row.index if row else None},
        "shipped": {"id": shipped.id, "digest": shipped.digest, "differs": shipped.digest != runtime.pack.digest},
        "history": history,
    }


def _fill(row: StatementRow) -> dict[str, Any]:
    return {"entry": row.index, **row.predicate}


@router.post("/replay")
def post_replay(session: SessionDep, actor: WriterDep, body: Annotated[Any, Depends(read_json)]) -> dict[str, Any]:
    """What the pack `{rules: {name: text}, schema: text}` would have answered to every past decision; nothing is stored."""
    actor.require("read")
    pack = parse_pack(body)
    return {"id": pack.id, "policy_digest": pack.digest, **replay_pack(session, pack).describe(session)}


@router.post("", status_code=201)
def post_policy(
    runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep, body: Annotated[Any, Depends(read_json)]
) -> dict[str, Any]:
    """Propose the pack `{rules, schema, cases, author?}`: checked, tried on its cases, replayed, logged; not in force."""
    actor.require("govern")
    sources = dict(body) if isinstance(body, dict) else body
    author = _check_author(sources.pop("author", None)) if isinstance(sources, dict) else None
    once = make_id("policy", key) if key else None
    receipt = propose_pack(runtime, sources, by=actor.name, author=author, key=once)
    return _answer(runtime, receipt.first_index)


@router.get("/{identifier}")
def show_policy(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """The newest statement about a pack, with the flips that its author saw and its sources."""
    row = get_statement(session, "policy", identifier)
    content = find_content(session, row.index) or {}
    sources = {name: content.get(name) for name in ("rules", "schema", "cases")}
    return {**_fill(row), "flips": content.get("flips", []), "sources": sources}


@router.get("/{identifier}/replay")
def show_replay(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """The replay of a recorded pack over the decisions of now: what an approver has to have seen."""
    row = get_statement(session, "policy", identifier)
    pack = parse_pack({name: (find_content(session, row.index) or {}).get(name) for name in ("rules", "schema")})
    return {"id": identifier, "policy_digest": pack.digest, **replay_pack(session, pack).describe(session)}


@router.post("/{identifier}/approve", status_code=201)
def post_approval(
    identifier: str, body: ApprovalRequest, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Put a proposed pack in force, as another person than its author."""
    actor.require("govern")
    receipt = approve_pack(
        runtime,
        identifier,
        digest=body.digest,
        replay_digest=body.replay_digest,
        by=actor.name,
        key=make_id("approval", key) if key else None,
    )
    return _answer(runtime, receipt.first_index)


def _answer(runtime: Runtime, index: int) -> dict[str, Any]:
    with read_session(runtime.engine) as session:
        return {"entry": index, **read_statement(session, index).predicate}


def _check_author(name: Any) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        expected = f"a name of 1 to {MAX_NAME} printable characters"
        raise MalformedError(f"author: expected {expected}", FieldError("author", name, expected))
    return name.strip()
