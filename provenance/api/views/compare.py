"""The page of a decision in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Page, Time
from provenance.api.views.policies import FlipCount


@dataclass(frozen=True)
class Standpoint:
    """One answer: what was known, whose terms, and how many reasons and conditions it gives."""

    name: str
    verdict: str
    documents: Sequence[str]
    terms_digest: str | None
    policy_digest: str | None
    log_size: int | None


@dataclass(frozen=True)
class Difference:
    """From one standpoint to the next: in words, and the classes whose verdict is another."""

    title: str
    text: Sequence[str]
    flips: Sequence[FlipCount]


@dataclass(frozen=True)
class ComparePage(Page):
    """`/decisions/{id}/compare`: as it was known then, as known today, by the terms of today."""

    template: ClassVar[str] = "decisions/compare.html"
    section: ClassVar[str] = "Releases"
    rows_field: ClassVar[str | None] = "standpoints"

    id: str
    decided_at: Time
    today: Time
    standpoints: Sequence[Standpoint]
    differences: Sequence[Difference]
