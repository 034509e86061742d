"""Pages about what sets rules aside: agreements with providers, and exceptions that two people approved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Page, Time


@dataclass(frozen=True)
class Step:
    """One entry about an agreement or exception: who did what, when and why."""

    step: str
    actor: str
    at: Time
    reason: str | None
    entry: int


@dataclass(frozen=True)
class Use:
    """A decision that used it."""

    id: str
    student: str
    action: str
    verdict: str
    decided_at: Time


@dataclass(frozen=True)
class AgreementRow:
    """One agreement of the list; `state` is active, pending, expired or revoked, today."""

    id: str
    state: str
    provider: str
    students: Sequence[str]
    actions: Sequence[str]
    valid_from: str
    valid_to: str | None


@dataclass(frozen=True)
class AgreementsPage(Page):
    """`/agreements`: what providers agreed to."""

    template: ClassVar[str] = "agreements/list.html"
    section: ClassVar[str] = "Policies"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[AgreementRow]


@dataclass(frozen=True)
class AgreementPage(Page):
    """`/agreements/{id}`: what it lifts, for whom, until when, and where it was used."""

    template: ClassVar[str] = "agreements/show.html"
    section: ClassVar[str] = "Policies"
    rows_field: ClassVar[str | None] = "steps"

    id: str
    state: str
    provider: str
    parties: Sequence[str]
    models: Sequence[str]
    routes: Sequence[str]
    actions: Sequence[str]
    students: Sequence[str]
    document_digest: str
    valid_from: str
    valid_to: str | None
    entry_index: int
    steps: Sequence[Step]
    uses: Sequence[Use]


@dataclass(frozen=True)
class ExceptionRow:
    """One exception of the list; `state` is requested, active, expired, refused or revoked, today."""

    id: str
    state: str
    student: str
    rules: Sequence[str]
    actions: Sequence[str]
    expires_on: str
    requested_by: str
    approved_by: Sequence[str]


@dataclass(frozen=True)
class ExceptionsPage(Page):
    """`/exceptions`: which rules were set aside."""

    template: ClassVar[str] = "exceptions/list.html"
    section: ClassVar[str] = "Policies"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[ExceptionRow]


@dataclass(frozen=True)
class ExceptionPage(Page):
    """`/exceptions/{id}`: which rules, for whom, why, until when, by whom, and where it was used."""

    template: ClassVar[str] = "exceptions/show.html"
    section: ClassVar[str] = "Policies"
    rows_field: ClassVar[str | None] = "steps"

    id: str
    state: str
    reason: str
    rules: Sequence[str]
    actions: Sequence[str]
    student: str
    student_digest: str
    dataset: str | None
    fact_classes: Sequence[str] | None
    teacher: str | None
    expires_on: str
    requested_by: str
    approved_by: Sequence[str]
    entry_index: int
    steps: Sequence[Step]
    uses: Sequence[Use]
