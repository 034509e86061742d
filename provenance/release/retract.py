"""Take a release back: one signed statement says who and why; from then on nobody is given its data.

Its manifest, attestation, card, proof and evidence stay: whoever trained on it must still be able to show what it was.
"""

from __future__ import annotations

from typing import Any

from provenance.errors import ConflictError, FieldError, MalformedError
from provenance.ledger.append import Receipt, format_time
from provenance.runtime import Runtime
from provenance.store.releases import get_release
from provenance.store.session import read_session

WITHDRAWABLE = frozenset({"allowed", "partial"})
MAX_REASON = 2000


def retract_release(
    runtime: Runtime, reference: str, *, reason: str, actor: str, once: tuple[str, Any] | None = None
) -> Receipt:
    """Log that `actor` withdraws a release.

    Raises:
        MalformedError: no reason is given.
        NotFoundError: there is no such release.
        ConflictError: it holds nothing that could be withdrawn, or was withdrawn before.
    """
    expected = f"why it is withdrawn, 1 to {MAX_REASON:,} characters"
    if not reason.strip() or len(reason) > MAX_REASON:
        raise MalformedError(f"reason: expected {expected}", FieldError("reason", reason, expected))
    with read_session(runtime.engine) as session:
        release = get_release(session, reference)
    name = f"{release['name']}@{release['version']}"
    if release["state"] not in WITHDRAWABLE:
        raise ConflictError(
            f"release {name} is {release['state']}: nothing was changed",
            FieldError("release", release["state"], " or ".join(sorted(WITHDRAWABLE))),
        )
    said = {"id": release["id"], "release": name, "reason": reason, "actor": actor, "at": format_time(runtime.clock())}
    return runtime.append("withdrawal", said, once=once)
