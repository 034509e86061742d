"""Status words: every state that a page shows has a word, a shape and a colour, all three always.

The shape is an icon of `web/templates/macros.html`; the tone is a pair of tokens of `web/static/app.css`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """How one state is shown: `tone` is ok, bad, warn, info or mute; `icon` names its shape."""

    word: str
    tone: str
    icon: str


_OK, _BAD, _WARN, _INFO, _MUTE = ("ok", "check"), ("bad", "cross"), ("warn", "bang"), ("info", "ring"), ("mute", "dash")
_HELD, _UNKNOWN, _UNCHECKED = ("warn", "held"), ("mute", "question"), ("mute", "ring")

STATUSES: dict[str, Status] = {
    # verdicts
    "allow": Status("Allowed", *_OK),
    "allow-with-conditions": Status("Allowed with conditions", *_OK),
    "review": Status("Needs review", *_WARN),
    "deny": Status("Blocked", *_BAD),
    # conditions
    "met": Status("Met", *_OK),
    "unmet": Status("Unmet", *_WARN),
    "unknown": Status("Unknown", *_UNKNOWN),
    "not-triggered": Status("Not triggered", *_MUTE),
    # effects of rules
    "permit": Status("Permits", *_OK),
    # releases
    "building": Status("Building", *_INFO),
    "allowed": Status("Passed", *_OK),
    "partial": Status("Passed in part", *_WARN),
    "blocked": Status("Blocked", *_BAD),
    "quarantined": Status("Quarantined", *_HELD),
    "released": Status("Released", *_OK),
    "withdrawn": Status("Withdrawn", *_MUTE),
    "recalled": Status("Recalled", *_BAD),
    "awaiting": Status("Awaiting approval", *_HELD),
    "approved": Status("Approved", *_OK),
    # what became of a sample, class or document from one release to the next
    "added": Status("Added", *_OK),
    "removed": Status("Removed", *_BAD),
    "same": Status("Same", *_MUTE),
    "changed": Status("Changed", *_WARN),
    "came": Status("Came", *_OK),
    "went": Status("Went", *_BAD),
    "not-selected": Status("Not selected", *_MUTE),
    "not-logged-yet": Status("Not logged yet", *_MUTE),
    "held-back": Status("Held back", *_HELD),
    # runs and reports
    "planned": Status("Planned", *_MUTE),
    "queued": Status("Queued", *_MUTE),
    "running": Status("Running", *_INFO),
    "done": Status("Done", *_OK),
    "failed": Status("Failed", *_BAD),
    "cancelled": Status("Cancelled", *_MUTE),
    "lost": Status("Lost", *_BAD),
    "undecided": Status("Not decided", *_UNCHECKED),
    # evidence and text
    "verified": Status("Verified", *_OK),
    "not-verified": Status("Not verified", *_WARN),
    "not-checked": Status("Not checked", *_UNCHECKED),
    "consistent": Status("Consistent", *_OK),
    "looked-at": Status("Looked at", *_OK),
    "open": Status("Nobody has looked", *_WARN),
    "erased": Status("Erased", *_MUTE),
    # agreements, exceptions and erasures
    "requested": Status("Requested", *_HELD),
    "expired": Status("Expired", *_MUTE),
    "refused": Status("Refused", *_BAD),
    "pending": Status("Not yet in force", *_MUTE),
    # recalls
    "recall-open": Status("Open", *_HELD),
    "upheld": Status("Upheld", *_BAD),
    "lifted": Status("Lifted", *_MUTE),
    "act-open": Status("To do", *_WARN),
    "waived": Status("Waived", *_MUTE),
    "sent": Status("Sent", *_OK),
    "waiting": Status("Waiting", *_INFO),
    "given-up": Status("Given up", *_BAD),
    # keys
    "active": Status("Active", *_OK),
    "retired": Status("Retired", *_MUTE),
    "revoked": Status("Revoked", *_BAD),
    # witnesses
    "agrees": Status("Agrees", *_OK),
    "behind": Status("Behind", *_WARN),
    "unreachable": Status("Unreachable", *_WARN),
    "refuses": Status("Refuses", *_WARN),
    "disagrees": Status("Disagrees", *_BAD),
    "invalid": Status("Invalid answer", *_BAD),
    "held": Status("Held", *_HELD),
    "not-asked": Status("Not asked yet", *_UNCHECKED),
    # report fields
    "recorded": Status("Recorded", *_OK),
    "not_recorded": Status("Not recorded", *_UNKNOWN),
    "conflicting": Status("Conflicting", *_WARN),
    "attested": Status("Attested", *_INFO),
    "not_applicable": Status("Not applicable", *_MUTE),
}


def describe_status(state: str) -> Status:
    """How a state is shown; a state that nobody named here is shown by its own word, as unknown."""
    return STATUSES.get(state) or Status(state.replace("_", " ").replace("-", " ").capitalize(), *_UNKNOWN)
