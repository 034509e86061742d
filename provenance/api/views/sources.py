"""Pages about sources: the providers, and one provider's documents with their clauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Page, Time
from provenance.api.views.policies import FlipCount, FlipRow


@dataclass(frozen=True)
class SourceRow:
    """One provider; `verified` counts the documents read in their own words, `samples` what the record holds from it."""

    provider: str
    name: str
    jurisdiction: str | None
    documents: int
    verified: int
    samples: int


@dataclass(frozen=True)
class SourcesPage(Page):
    """`/sources`: whose terms are on record."""

    template: ClassVar[str] = "sources/list.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[SourceRow]


@dataclass(frozen=True)
class Clause:
    """One fact of a document: what it says (`value`), where (`clause`), in our words, and whether its text was read."""

    name: str
    value: str
    clause: str | None
    paraphrase: str
    verified: bool


@dataclass(frozen=True)
class SourceDocument:
    """One terms document or licence with its days, its models, its clauses, and what it binds in the record.

    `changed_at` is when it was recorded anew; None for the first record of it.
    """

    id: str
    title: str
    kind: str
    version: str | None
    route: str
    effective_from: Time | None
    effective_to: Time | None
    verified: bool
    digest: str
    models: Sequence[str]
    clauses: Sequence[Clause]
    notes: str | None
    entry_index: int | None
    samples: int = 0
    releases: Sequence[str] = ()
    students: Sequence[str] = ()
    changed_at: Time | None = None
    changed_by: str | None = None


@dataclass(frozen=True)
class SourcePage(Page):
    """`/sources/{provider}`: which words applied on which day."""

    template: ClassVar[str] = "sources/show.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "documents"

    provider: str
    name: str
    jurisdiction: str | None
    checked_on: Time
    notes: Sequence[str]
    documents: Sequence[SourceDocument]


@dataclass(frozen=True)
class TermsText:
    """One difference in words; `material` marks those on which a verdict can turn."""

    text: str
    material: bool


@dataclass(frozen=True)
class ImpactPage(Page):
    """`/terms/{id}/impact`: terms changed, who is hit. `decisions` is None where the first record has no before."""

    template: ClassVar[str] = "sources/impact.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "flips"

    id: str
    provider: str
    entry_index: int
    recorded_at: Time | None
    recorded_by: str | None
    samples: int
    releases: Sequence[str]
    students: Sequence[str]
    changed: Sequence[str]
    changes: Sequence[TermsText]
    decisions: int | None
    not_replayed: int
    totals: Sequence[FlipCount]
    flips: Sequence[FlipRow]
