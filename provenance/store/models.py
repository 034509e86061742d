"""Queries over registered models."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from provenance.errors import FieldError, NotFoundError
from provenance.store.log import get_statement
from provenance.store.recalls import load_held
from provenance.store.tables import Model


def get_model(session: Session, reference: str) -> dict[str, Any]:
    """The newest registration of the model of this id or `provider/name`, as the API shows it.

    Raises:
        NotFoundError: none is registered.
    """
    query = select(Model).where((Model.id == reference) | (Model.name == reference)).order_by(col(Model.index).desc())
    row = session.exec(query).first()
    if row is None:
        expected = "a registered model, by id or provider/name"
        raise NotFoundError(f"no model {reference!r} is registered", FieldError("model", reference, expected))
    predicate = get_statement(session, "model", row.id).predicate
    return {**predicate, "entry": row.index, "recall": load_held(session).models.get(row.id)}


def list_models(session: Session, *, limit: int = 100) -> list[dict[str, Any]]:
    """Registered models, newest first."""
    rows = session.exec(select(Model).order_by(col(Model.index).desc()).limit(limit)).all()
    return [get_model(session, row.id) for row in rows]
