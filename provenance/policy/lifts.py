"""What may lift a rule on a day: the agreements and exceptions of the log, as every decision loads them.

Only those that are in force are read and folded; the database leaves out what has ended, so that a long history of them
costs a gate nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlmodel import Session

from provenance.policy.exception import PolicyException, fold_exception
from provenance.store.lifts import list_current_agreements, list_current_steps

AGREEMENT_FIELDS = (
    "id", "provider", "parties", "models", "routes", "actions", "students", "document_digest", "valid_from", "valid_to",
)  # fmt: skip


@dataclass(frozen=True)
class Lifts:
    """Agreements in the contract's form, and exceptions, that are in force on one day."""

    agreements: Sequence[Mapping[str, Any]] = ()
    exceptions: Sequence[PolicyException] = ()

    @property
    def ids(self) -> frozenset[str]:
        """All of them by id."""
        return frozenset((*(item["id"] for item in self.agreements), *(item.id for item in self.exceptions)))


def load_lifts(session: Session, day: dt.date, *, log_size: int | None = None) -> Lifts:
    """What is in force on `day`, by the first `log_size` entries of the log (all of them by default)."""
    agreements = [agreement_terms(row.predicate) for row in list_current_agreements(session, day.isoformat(), log_size)]
    steps = list_current_steps(session, day.isoformat(), log_size)
    folded = [fold_exception([row.predicate for row in rows]) for _, rows in groupby(steps, key=lambda row: row.key)]
    return Lifts(agreements, [exception for exception in folded if exception.state(day) == "active"])


def agreement_terms(said: Mapping[str, Any]) -> dict[str, Any]:
    """The agreement that an entry carries, as a decision is asked with it."""
    return {name: said[name] for name in AGREEMENT_FIELDS}
