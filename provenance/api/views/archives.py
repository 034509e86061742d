"""Pages about archives of terms: what was fetched when, what was folded, and the passages that wait for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Page, Time
from provenance.terms.archive.words import Span


@dataclass(frozen=True)
class ArchiveRow:
    """One archive; `open` counts the passages that nobody has looked at."""

    id: str
    name: str
    documents: int
    versions: int
    folded: int
    passages: int
    open: int
    imported_at: Time
    source_commit: str
    entry_index: int


@dataclass(frozen=True)
class ArchivesPage(Page):
    """`/sources/archives`: which histories of terms are on record."""

    template: ClassVar[str] = "sources/archives.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[ArchiveRow]


@dataclass(frozen=True)
class ReasonRow:
    """How many texts were folded for one reason, and what it means."""

    reason: str
    meaning: str
    texts: int


@dataclass(frozen=True)
class ArchivedDocument:
    """One document of an archive. `provider` is None where the alias table does not name it: unknown."""

    service: str
    document: str
    provider: str | None
    series: Sequence[str]
    versions: int
    folded: int
    passages: int
    open: int
    first_fetched: Time
    last_changed: Time


@dataclass(frozen=True)
class Contradiction:
    """Where the days of archive and catalogue disagree."""

    service: str
    document: str
    day: Time
    text: str


@dataclass(frozen=True)
class Place:
    """Where a passage stands."""

    service: str
    document: str
    fetched_at: Time
    commit: str


@dataclass(frozen=True)
class PassageRow:
    """A changed sentence with its words marked; `reviewed_by` is None while nobody has looked at it."""

    id: str
    topics: Sequence[str]
    old: str | None
    new: str | None
    words: Sequence[Span]
    changed_by: str
    places: Sequence[Place]
    reviewed_by: str | None
    reviewed_at: Time | None
    review: str | None


@dataclass(frozen=True)
class ArchivePage(Page):
    """`/sources/archives/{id}`: what one archive holds, what waits for a person, where it contradicts the catalogue."""

    template: ClassVar[str] = "sources/archive.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "documents"

    archive: ArchiveRow
    index_digest: str
    unknown: int
    documents: Sequence[ArchivedDocument]
    reasons: Sequence[ReasonRow]
    contradictions: Sequence[Contradiction]
    passages: Sequence[PassageRow]


@dataclass(frozen=True)
class VersionRow:
    """One version: from when, when seen, which documents of the catalogue it stands beside."""

    begins: Time
    stated_day: Time | None
    fetched_at: Time
    beside: Sequence[str]
    digest: str
    size_bytes: int
    commit: str


@dataclass(frozen=True)
class ArchivedDocumentPage(Page):
    """`/sources/archives/{id}/{service}/{document}`: which words stood there when."""

    template: ClassVar[str] = "sources/archived.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "versions"

    archive: ArchiveRow
    document: ArchivedDocument
    versions: Sequence[VersionRow]
    reasons: Sequence[ReasonRow]
    contradictions: Sequence[Contradiction]
    passages: Sequence[PassageRow]
