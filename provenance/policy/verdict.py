"""Verdicts, and the findings from which rules draw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["allow", "allow-with-conditions", "review", "deny"]
Status = Literal["met", "unmet", "unknown", "not-triggered"]
VERDICTS: tuple[Verdict, ...] = ("allow", "allow-with-conditions", "review", "deny")
PERMITTING: frozenset[str] = frozenset({"allow", "allow-with-conditions"})
EXIT_CODES: Mapping[str, int] = {"allow": 0, "allow-with-conditions": 10, "review": 20, "deny": 30}


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The strictest of some verdicts; of none, `review`: silence is not a permission."""
    found = list(verdicts)
    return max(found, key=VERDICTS.index) if found else "review"


@dataclass(frozen=True)
class Finding:
    """What Python found for one document under one name of fact; `needs` are the unknown facts that it turns on."""

    document: str | None
    clause: str | None
    route: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConditionStatus:
    """A condition judged on the student as declared; `carried_by` tells the models through which an inherited one came."""

    type: str
    requirement: str
    status: Status
    document: str
    clause: str | None
    route: str = "licence"
    needs: tuple[str, ...] = ()
    fix: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    carried_by: str | None = None

    @property
    def triggered(self) -> bool:
        """Whether the condition asks for anything, or may."""
        return self.status != "not-triggered"

    def to_json(self) -> dict[str, Any]:
        """The condition as an answer shows it."""
        shown: dict[str, Any] = {
            "type": self.type,
            "requirement": self.requirement,
            "status": self.status,
            "document": self.document,
            "clause": self.clause,
        }
        if self.needs:
            shown["unknown"] = list(self.needs)
        if self.carried_by:
            shown["carried_by"] = self.carried_by
        return shown
