"""Queries over withdrawals: releases that a person took back."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from provenance.store.log import list_statements

MAX_WITHDRAWALS = 10_000


def list_withdrawn(session: Session) -> dict[str, dict[str, Any]]:
    """Release id -> who withdrew it, when, why, and the entry that says so."""
    names = ("reason", "actor", "at")
    return {
        row.key: {**{name: row.predicate[name] for name in names}, "entry": row.index}
        for row in reversed(list_statements(session, "withdrawal", limit=MAX_WITHDRAWALS))
    }
