"""Approve a release as a second person: one signed statement, bound to its manifest; before it, where a pack asks, nobody is
given the data and no student is trained on it.

A release may be approved though its pack did not ask: the pack that is in force when a student is trained may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.errors import ConflictError, FieldError, ForbiddenError
from provenance.ledger.append import Receipt, format_time
from provenance.release.retract import WITHDRAWABLE
from provenance.runtime import Runtime
from provenance.store.approvals import APPROVED, find_requester
from provenance.store.people import same_person
from provenance.store.releases import get_release
from provenance.store.session import read_session


def approve_release(
    runtime: Runtime, reference: str, *, actor: str, reason: str | None = None, once: tuple[str, Any] | None = None
) -> Receipt:
    """Log that `actor` approves a release.

    Raises:
        NotFoundError: there is no such release.
        ConflictError: it holds nothing that may be used, nobody knows who asked for it, or it was approved before.
        ForbiddenError: `actor` asked for it.
    """
    with read_session(runtime.engine) as session:
        release = get_release(session, reference)
    if (objection := _find_objection(release, actor)) is not None:
        raise objection
    said = {
        "id": release["id"],
        "release": f"{release['name']}@{release['version']}",
        "manifest_digest": release["manifest_digest"],
        "reason": reason,
        "actor": actor,
        "at": format_time(runtime.clock()),
    }
    return runtime.append("approval", said, subjects=[("manifest.json", release["manifest_digest"])], once=once)


def _find_objection(release: Mapping[str, Any], actor: str) -> ConflictError | ForbiddenError | None:
    name = f"{release['name']}@{release['version']}"
    if release["state"] not in WITHDRAWABLE:
        return ConflictError(
            f"release {name} is {release['state']}: there is nothing to approve",
            FieldError("release", release["state"], " or ".join(sorted(WITHDRAWABLE))),
        )
    requester = find_requester(release)
    if requester is None:
        expected = "a release that somebody with a token of their own asked for"
        return ConflictError(
            f"nobody knows who asked for release {name}, so nobody can be told to be another: build it anew as a named "
            "person (`provenance token create --name NAME --role ROLE`, then PROVENANCE_TOKEN)",
            FieldError("requested_by", release["requested_by"], expected),
        )
    if same_person(actor, requester):
        expected = f"somebody other than {requester}, who asked for it"
        return ForbiddenError(f"{actor} asked for release {name} and cannot approve it; expected {expected}")
    approval = release["approval"]
    if approval and approval["state"] == APPROVED:
        return ConflictError(
            f"{approval['approved_by']} has approved release {name} already (entry {approval['entry']})",
            FieldError("release", APPROVED, "a release that awaits its approval"),
        )
    return None
