"""Queries over publications: models that were given away, and under which name."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from provenance.errors import FieldError, NotFoundError
from provenance.store.log import find_statement, list_statements

MAX_PUBLICATIONS = 10_000


def find_publication(session: Session, identifier: str) -> dict[str, Any] | None:
    """What the log says of a publication, with its entry; None where there is none of this id."""
    row = find_statement(session, "publication", identifier)
    return None if row is None else {**row.predicate, "entry": row.index}


def get_publication(session: Session, identifier: str) -> dict[str, Any]:
    """The same; there must be one.

    Raises:
        NotFoundError: there is none.
    """
    found = find_publication(session, identifier)
    if found is None:
        raise NotFoundError(f"there is no publication {identifier!r}", FieldError("publication", identifier, "its id"))
    return found


def list_publications(session: Session, model_id: str) -> list[dict[str, Any]]:
    """The publications of a model, newest first."""
    rows = list_statements(session, "publication", limit=MAX_PUBLICATIONS)
    return [{**row.predicate, "entry": row.index} for row in rows if row.predicate["model"] == model_id]
