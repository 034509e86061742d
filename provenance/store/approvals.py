"""Approvals of releases by a second person: folded from what the log holds, in its order.

An approval that was not allowed counts for nothing, also where two services logged it at one moment: one by whoever asked for
the release, one of a release of which nobody knows who asked, one of another manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from provenance.store.lifts import list_histories
from provenance.store.people import same_person
from provenance.store.tables import StatementRow
from provenance.store.tokens import TERMINAL_PREFIX

AWAITING, APPROVED = "awaiting", "approved"


def list_approvals(session: Session, releases: Sequence[str]) -> dict[str, list[StatementRow]]:
    """All approvals of each of these releases, by id."""
    return list_histories(session, "approval", releases)


def find_requester(release: Mapping[str, Any]) -> str | None:
    """Who asked for a release (its predicate), or None where nobody in particular did: an old one, or a terminal's."""
    name = release.get("requested_by")
    return name if isinstance(name, str) and not name.casefold().startswith(TERMINAL_PREFIX) else None


def fold_approval(release: Mapping[str, Any], rows: Sequence[StatementRow]) -> dict[str, Any] | None:
    """Where the approval of a release (its predicate) stands; None where none is asked for and none was given."""
    rules = release.get("approval") or []
    given = next((row for row in rows if _counts(release, row.predicate)), None)
    if given is None and not rules:
        return None
    said = given.predicate if given else {}
    return {
        "state": APPROVED if given else AWAITING,
        "rules": rules,
        "requested_by": release.get("requested_by"),
        "approved_by": said.get("actor"),
        "at": said.get("at"),
        "reason": said.get("reason"),
        "entry": given and given.index,
    }


def _counts(release: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    requester = find_requester(release)
    return (
        requester is not None
        and not same_person(said["actor"], requester)
        and not said["actor"].casefold().startswith(TERMINAL_PREFIX)
        and said["manifest_digest"] == release["manifest_digest"]
    )
