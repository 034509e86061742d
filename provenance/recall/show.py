"""A recall as API, command line and pages show it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlmodel import Session

from provenance.recall.source import describe_later, describe_source
from provenance.store.notices import list_notices
from provenance.store.recall_steps import SETTLED
from provenance.store.recalls import Logged


def summarise_recall(logged: Logged) -> dict[str, Any]:
    """One line of the list."""
    recall, said = logged.recall, logged.entries[0].predicate
    return {
        "id": recall.id,
        "state": recall.state,
        "source": recall.source,
        "source_text": describe_source(recall.source),
        "later": describe_later(recall.source),
        "reason": recall.reason,
        "opened_by": recall.opened_by,
        "opened_at": recall.opened_at,
        "log_size": recall.log_size,
        "counts": said["counts"],
        "acts_total": len(recall.acts),
        "acts_settled": sum(act.state in SETTLED for act in recall.acts.values()),
        "entry": logged.entries[0].index,
    }


def describe_recall(session: Session, logged: Logged) -> dict[str, Any]:
    """All of a recall; `reach` is None where its list is not stored any more."""
    recall, said = logged.recall, logged.entries[0].predicate
    reach = {name: value for name, value in logged.reach.items() if name != "acts"} if logged.reach else None
    names = ("address", "state", "attempts", "next_at", "last_error")
    return {
        **summarise_recall(logged),
        **{name: said[name] for name in ("root", "reach_digest", "running", "notify")},
        **{name: getattr(recall, name) for name in ("closed_by", "closed_at", "closing_reason")},
        "reach": reach,
        "acts": [asdict(act) for act in recall.acts.values()],
        "notices": [{name: getattr(item, name) for name in names} for item in list_notices(session, recall.id)],
        "entries": [{"step": row.predicate["step"], "index": row.index} for row in logged.entries],
    }
