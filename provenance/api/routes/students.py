"""Students: the intended use of a model that is to be trained."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from provenance.api.body import read_json
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import FieldError, MalformedError
from provenance.policy.inputs import validate_student
from provenance.store.students import get_student, list_students

router = APIRouter(prefix="/api/v1/students", tags=["students"])


@router.post("", status_code=201)
def post_student(
    runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep, body: Annotated[Any, Depends(read_json)]
) -> dict[str, Any]:
    """Declare a student: its facts (`CONTRACT`, student facts), each a value or "unknown"."""
    actor.require("release")
    validate_student(body)
    facts = dict(body)
    if not isinstance(facts.get("name"), str) or facts["name"] == "unknown":
        expected = "the student's name; every other fact may be unknown"
        raise MalformedError(
            f"student.name: expected {expected}", FieldError("student.name", facts.get("name"), expected)
        )
    identifier = make_id("stu", key)
    digest = sha256_digest(canonical_bytes(facts))
    predicate = {"id": identifier, "facts": facts, "digest": digest}
    receipt = runtime.append("student", predicate, subjects=[(identifier, digest)], once=(identifier, predicate))
    return {"id": identifier, "entry": receipt.first_index}


@router.get("")
def index_students(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All students, newest declaration first."""
    return {"students": [{"id": row.id, "name": row.name, "entry": row.index} for row in list_students(session)]}


@router.get("/{reference}")
def show_student(reference: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One student, by id or name."""
    row = get_student(session, reference)
    return {"id": row.predicate["id"], "facts": row.predicate["facts"], "entry": row.index}
