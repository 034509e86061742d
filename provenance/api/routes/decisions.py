"""Decisions: what-if questions about one sample and one student, and stored ones about a dataset."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlmodel import Session

from provenance.api.body import RequestBody
from provenance.api.deps import Actor, IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, find_actor, make_id
from provenance.errors import AuthenticationError, FieldError, MalformedError, NotFoundError
from provenance.lineage.inherit import inherit_teacher
from provenance.policy.compare import compare_what_if
from provenance.policy.decide import decide, parse_at
from provenance.policy.inputs import validate_sample_facts
from provenance.policy.known import Known, load_known, parse_terms_day
from provenance.policy.lifts import load_lifts
from provenance.policy.past import compare_past
from provenance.release.build import decide_dataset
from provenance.runtime import Runtime
from provenance.store.log import MAX_INDEX, find_content, get_head, get_statement, list_statements
from provenance.store.releases import get_release
from provenance.store.samples import check_selection
from provenance.store.session import read_session

router = APIRouter(prefix="/api/v1/decisions", tags=["decisions"])
Action = Literal["train", "release", "publish", "serve", "distill"]


class DecisionRequest(RequestBody):
    """`{sample, student, action?, at?, known_at?, terms_of?, agreements?}` asks what if; `{dataset | release, student, action?}`
    is stored."""

    sample: dict[str, Any] | None = None
    dataset: str | None = None
    release: str | None = None
    selection: dict[str, Any] = Field(default_factory=dict)
    student: dict[str, Any] | str
    action: Action = "train"
    at: str | None = None
    known_at: str | None = None
    terms_of: str | None = None
    agreements: list[dict[str, Any]] = Field(default_factory=list)


@router.post("")
def post_decision(
    body: DecisionRequest,
    response: Response,
    runtime: RuntimeDep,
    _: ReaderDep,
    actor: Annotated[Actor | None, Depends(find_actor)],
    key: IdempotencyDep,
) -> dict[str, Any]:
    """Ask the policies. A what-if changes nothing and is open to readers; a stored decision needs a token."""
    _check_fields(body)
    if body.sample is not None:
        if not isinstance(body.student, dict):
            raise MalformedError("student: expected student facts", FieldError("student", body.student, "an object"))
        return _what_if(runtime, body.sample, body.student, body)
    if actor is None:
        raise AuthenticationError("a stored decision needs a token; a what-if (`sample`) does not")
    actor.require("release")
    if not isinstance(body.student, str):
        raise MalformedError(
            "student: expected a declared student", FieldError("student", body.student, "an id or name")
        )
    dataset, selection = _subject(runtime, body)
    predicate = decide_dataset(
        runtime,
        make_id("dec", key),
        dataset=dataset,
        selection=selection,
        student=body.student,
        action=body.action,
    )
    response.status_code = 201
    with read_session(runtime.engine) as session:
        return _stored(session, predicate["id"])


_NOW = ("at", "known_at", "terms_of", "agreements")
_FOREIGN = {
    "sample": (("dataset", "release", "selection"), "not with `sample`: a what-if is about one sample"),
    "release": (
        ("dataset", "selection", *_NOW),
        "not with `release`: it is decided on as it is, by what is in force now",
    ),
    "dataset": (_NOW, "only with `sample`: a stored decision is made with what is known and in force now"),
}


def _check_fields(body: DecisionRequest) -> None:
    """Refuse what would be passed over: a field of another kind of question, or a second subject."""
    subject = next((name for name in _FOREIGN if getattr(body, name) is not None), "dataset")
    foreign, expected = _FOREIGN[subject]
    for name in foreign:
        if value := getattr(body, name):
            raise MalformedError(f"{name}: {expected}", FieldError(name, value, expected))


def _what_if(
    runtime: Runtime, sample: dict[str, Any], student: dict[str, Any], body: DecisionRequest
) -> dict[str, Any]:
    now = runtime.clock()
    terms_of = parse_terms_day(body.terms_of, today=now.date()) if body.terms_of else None
    validate_sample_facts(sample, today=now.date())
    with read_session(runtime.engine) as session:
        known = _find_known(runtime, session, body, body.known_at)
        inheritance = inherit_teacher(session, sample, known.log_size or 0, known.catalogue, terms_of=terms_of)
    return decide(
        sample,
        student,
        action=body.action,
        at=body.at or now.date(),
        terms_of=terms_of,
        today=now.date(),
        inheritance=inheritance,
        agreements=[*body.agreements, *known.lifts.agreements],
        exceptions=known.lifts.exceptions,
        catalogue=known.catalogue,
        pack=known.pack,
        log_size=known.log_size,
    )


def _find_known(runtime: Runtime, session: Session, body: DecisionRequest, known_at: str | None) -> Known:
    """What is in force, or was by `known_at`; agreements and exceptions are those for the day that is asked for."""
    now = runtime.clock()
    day = parse_at(body.at) or now.date()
    if known_at is not None:
        return load_known(session, known_at, now=now, day=day)
    return Known(get_head(session).size, runtime.catalogue, runtime.pack, load_lifts(session, day))


@router.post("/compare")
def compare_what_ifs(body: DecisionRequest, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """A what-if in three lights: as it was known at `known_at`, as it is known today, and by the terms of today."""
    for name in ("sample", "known_at"):
        if getattr(body, name) is None:
            raise MalformedError(f"{name} is missing", FieldError(name, None, "a sample, and the day to compare with"))
    if not isinstance(body.student, dict) or body.sample is None or body.known_at is None:
        raise MalformedError("student: expected student facts", FieldError("student", body.student, "an object"))
    sample = body.sample
    validate_sample_facts(sample, today=runtime.clock().date())
    return compare_what_if(
        sample,
        body.student,
        action=body.action,
        at=body.at,
        agreements=body.agreements,
        then=_find_known(runtime, session, body, body.known_at),
        now=_find_known(runtime, session, body, None),
        today=runtime.clock().date(),
        inherit=lambda known, terms_of: inherit_teacher(
            session, sample, known.log_size or 0, known.catalogue, terms_of=terms_of
        ),
    )


def _subject(runtime: Runtime, body: DecisionRequest) -> tuple[str, dict[str, str]]:
    if body.release is not None:
        with read_session(runtime.engine) as session:
            release = get_release(session, body.release)
            if release["decision"] is None:
                raise NotFoundError(f"release {body.release} is not in the log yet; its state is {release['state']}")
            decision = get_statement(session, "decision", release["decision"]["id"]).predicate
        return decision["selection"]["dataset"], decision["selection"]["filter"]
    if body.dataset is None:
        expected = "sample, dataset or release"
        raise MalformedError(f"what is decided about: expected {expected}", FieldError("dataset", None, expected))
    return body.dataset, check_selection(body.selection)


@router.get("")
def index_decisions(
    session: SessionDep,
    _: ReaderDep,
    before: Annotated[int | None, Query(ge=0, le=MAX_INDEX)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Stored decisions, newest first."""
    rows = list_statements(session, "decision", before=before, limit=limit)
    return {"decisions": [{"entry": row.index, **row.predicate} for row in rows]}


@router.get("/{identifier}")
def show_decision(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One stored decision with its whole answer and the answer for each fact class."""
    return _stored(session, identifier)


@router.get("/{identifier}/compare")
def compare_decision(identifier: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """A stored decision in three lights: as it was known then, as it is known today, and by the terms of today."""
    row = get_statement(session, "decision", identifier)
    now = Known(get_head(session).size, runtime.catalogue, runtime.pack)
    return compare_past(session, row, now=now, today=runtime.clock().date())


def _stored(session: Any, identifier: str) -> dict[str, Any]:
    row = get_statement(session, "decision", identifier)
    content = find_content(session, row.index) or {"answer": {}, "classes": []}
    return {
        **content["answer"],
        "id": identifier,
        "entry": row.index,
        "statement": row.predicate,
        "classes": content["classes"],
    }
