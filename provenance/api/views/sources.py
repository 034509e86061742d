"""Pages about sources: the providers, and one provider's documents with their clauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Page, Time


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
    """One terms document or licence with its days, its models and its clauses."""

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
