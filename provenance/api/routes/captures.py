"""Captures: one generation run, opened before its samples and closed with what it made and what was kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field, model_validator

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.api.once import find_done, once_of
from provenance.capture.check import MAX_NAME_CHARACTERS, Checker
from provenance.capture.opened import require_open
from provenance.errors import FieldError, MalformedError
from provenance.ledger.append import format_time
from provenance.store.captures import count_samples, list_captures
from provenance.store.log import MAX_INDEX, get_statement
from provenance.store.tables import StatementRow

router = APIRouter(prefix="/api/v1/captures", tags=["captures"])
MAX_COUNT = 2**53 - 1  # what a canonical number holds
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class Teacher(RequestBody):
    """The model that is asked."""

    provider: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")
    revision: Name | None = None
    weights_digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")


class Account(RequestBody):
    """Whose account it is, and on which plan."""

    holder: Name | None = None
    plan: Name | None = None


class Code(RequestBody):
    """The pipeline that generates: its name, version and, where known, the digest of its code."""

    name: Name
    version: Name | None = None
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")


class CaptureRequest(RequestBody):
    """A generation run as it is opened; null is "not known"."""

    dataset: Name
    teacher: Teacher
    route: Literal["weights", "api", "consumer", "reseller", "dataset"]
    host: Name | None = None
    role: Literal["generator", "rewriter", "judge", "reward", "verifier"] = "generator"
    account: Account | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    code: Code | None = None


class Totals(RequestBody):
    """What came of it: answers made and kept, tokens used, an estimate of the computation where there is one."""

    made: Count
    kept: Count
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    flops: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _keep_what_was_made(self) -> Totals:
        if self.kept > self.made:
            expected = f"at most the {self.made} that were made"
            raise MalformedError(f"kept: expected {expected}", FieldError("kept", self.kept, expected))
        return self


@router.post("", status_code=201)
def post_capture(body: CaptureRequest, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep) -> dict[str, Any]:
    """Open a capture. Batches name it by `POST /api/v1/samples?capture=ID`."""
    actor.require("capture")
    run = _check(body.model_dump())
    said = {"id": make_id("cap", key), **run, "collector": actor.name, "source": "api"}
    predicate = {**said, "opened_at": format_time(runtime.clock()), "closed_at": None, "totals": None}
    receipt = runtime.append("capture", predicate, once=(said["id"], said))
    return {"id": said["id"], "entry": receipt.first_index}


@router.post("/{identifier}/close", status_code=201)
def close_capture(
    identifier: str, body: Totals, runtime: RuntimeDep, session: SessionDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Close a capture with its totals; nothing can be recorded under it any more."""
    actor.require("capture")
    held = get_statement(session, "capture", identifier).predicate
    totals = body.model_dump()
    once = once_of("cap-close", key, {"id": identifier, "totals": totals, "actor": actor.name})
    done = find_done(runtime, once)
    if done is None:
        require_open(held)
        said = {**held, "closed_at": format_time(runtime.clock()), "closed_by": actor.name, "totals": totals}
        done = runtime.append("capture", said, once=once)
    return {"id": identifier, "entry": done.first_index}


@router.get("")
def index_captures(
    session: SessionDep,
    _: ReaderDep,
    before: Annotated[int | None, Query(ge=0, le=MAX_INDEX)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """All captures, the one that was opened or closed last first: those of this list, of batches and of the gateway."""
    return {"captures": [_show(row) for row in list_captures(session, before=before, limit=limit)]}


@router.get("/{identifier}")
def show_capture(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One capture, with how many samples its batches recorded."""
    return {**_show(get_statement(session, "capture", identifier)), "recorded": count_samples(session, identifier)}


def _check(run: dict[str, Any]) -> dict[str, Any]:
    """The run, with its names and parameters held to what is asked of a sample's."""
    check = Checker(None)
    check.name("dataset", run["dataset"])
    named = {"host": run["host"], "teacher.revision": run["teacher"]["revision"]}
    named |= {f"account.{name}": value for name, value in (run["account"] or {}).items()}
    named |= {f"code.{name}": value for name, value in (run["code"] or {}).items()}
    for name, value in named.items():
        check.name(name, value, optional=True)
    return {**run, "parameters": check.free_form("parameters", run["parameters"])}


def _show(row: StatementRow) -> dict[str, Any]:
    state = "closed" if row.predicate.get("closed_at") else "open"
    return {"entry": row.index, "state": state, **row.predicate}
