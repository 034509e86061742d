"""Queries over declared students."""

from __future__ import annotations

from sqlmodel import Session, col, select

from provenance.errors import FieldError, NotFoundError
from provenance.store.log import get_statement
from provenance.store.tables import StatementRow, Student


def get_student(session: Session, reference: str) -> StatementRow:
    """The newest declaration of the student of this id or name.

    Raises:
        NotFoundError: none was declared.
    """
    query = (
        select(Student)
        .where((Student.id == reference) | (Student.name == reference))
        .order_by(col(Student.index).desc())
    )
    row = session.exec(query).first()
    if row is None:
        expected = "the id or name of a declared student"
        raise NotFoundError(
            f"no student {reference!r} was declared; POST /api/v1/students declares one",
            FieldError("student", reference, expected),
        )
    return get_statement(session, "student", row.id)


def list_students(session: Session) -> list[Student]:
    """All students, newest declaration first."""
    return list(session.exec(select(Student).order_by(col(Student.index).desc())).all())
