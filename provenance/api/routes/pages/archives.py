"""Pages of archives of terms: the list, one archive, one document with its versions and changed passages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.archives import ARCHIVE, REVIEW, read_archive
from provenance.api.views.archives import (
    ArchivedDocument,
    ArchivedDocumentPage,
    ArchivePage,
    ArchiveRow,
    ArchivesPage,
    Contradiction,
    PassageRow,
    Place,
    ReasonRow,
    VersionRow,
)
from provenance.errors import NotFoundError
from provenance.store.curations import list_curations
from provenance.store.tables import StatementRow
from provenance.terms.archive.aliases import Aliases, load_aliases
from provenance.terms.archive.beside import find_contradictions, list_beside
from provenance.terms.archive.fold import REASONS
from provenance.terms.archive.words import mark_words

router = APIRouter()
Index = Mapping[str, Any]
Reviews = Mapping[str, Mapping[str, Any]]


@add_page(router, "/sources/archives", "json", "csv")
def index_archives(asked: PageDep) -> Response:
    """Which histories of terms are on record."""
    reviews = _reviews(asked)
    rows = list_curations(asked.session, ARCHIVE)
    archives = [read_archive(asked.runtime, asked.session, row.key) for row in rows]
    return asked.answer(ArchivesPage([_fill_row(row, index, reviews) for row, index in archives]))


@add_page(router, "/sources/archives/{identifier}", "json", "csv")
def show_archive(identifier: str, asked: PageDep) -> Response:
    """What one archive holds, and what waits for a person."""
    row, index = read_archive(asked.runtime, asked.session, identifier)
    aliases, reviews = load_aliases(asked.runtime.catalogue), _reviews(asked)
    documents = [_fill_document(item, index, aliases, reviews) for item in index["documents"]]
    page = ArchivePage(
        archive=_fill_row(row, index, reviews),
        index_digest=row.predicate["index_digest"],
        unknown=sum(item.provider is None for item in documents),
        documents=documents,
        reasons=_fill_reasons(index["folded"]),
        contradictions=[found for item in index["documents"] for found in _contradict(asked, aliases, item)],
        passages=_fill_passages(index["passages"], reviews),
    )
    return asked.answer(page)


@add_page(router, "/sources/archives/{identifier}/{service}/{document}", "json", "csv")
def show_archived(identifier: str, service: str, document: str, asked: PageDep) -> Response:
    """The versions of one document, and its changed passages."""
    row, index = read_archive(asked.runtime, asked.session, identifier)
    aliases, reviews = load_aliases(asked.runtime.catalogue), _reviews(asked)
    found = next((item for item in index["documents"] if _is_of(item, service, document)), None)
    if found is None:
        raise NotFoundError(f"the archive {identifier} holds no document {service} / {document}")
    page = ArchivedDocumentPage(
        archive=_fill_row(row, index, reviews),
        document=_fill_document(found, index, aliases, reviews),
        versions=[_fill_version(asked, aliases, version) for version in found["versions"]],
        reasons=_fill_reasons([item for item in index["folded"] if _is_of(item, service, document)]),
        contradictions=_contradict(asked, aliases, found),
        passages=_fill_passages(_passages_of(index, service, document), reviews),
    )
    return asked.answer(page)


def _reviews(asked: Asked) -> Reviews:
    return {row.key: row.predicate for row in list_curations(asked.session, REVIEW)}


def _is_of(item: Mapping[str, Any], service: str, document: str) -> bool:
    return bool(item["service"] == service and item["document"] == document)


def _passages_of(index: Index, service: str, document: str) -> list[Any]:
    return [item for item in index["passages"] if any(_is_of(place, service, document) for place in item["places"])]


def _count_open(passages: Sequence[Mapping[str, Any]], reviews: Reviews) -> int:
    return sum(item["id"] not in reviews for item in passages)


def _fill_row(row: StatementRow, index: Index, reviews: Reviews) -> ArchiveRow:
    said = row.predicate
    return ArchiveRow(
        id=said["id"],
        name=said["name"],
        documents=said["counts"]["documents"],
        versions=said["counts"]["versions"],
        folded=said["counts"]["folded"],
        passages=len(index["passages"]),
        open=_count_open(index["passages"], reviews),
        imported_at=said["at"],
        source_commit=said["source_commit"],
        entry_index=row.index,
    )


def _fill_document(item: Mapping[str, Any], index: Index, aliases: Aliases, reviews: Reviews) -> ArchivedDocument:
    service, document, versions = item["service"], item["document"], item["versions"]
    alias = aliases.find(service, document)
    passages = _passages_of(index, service, document)
    folded = [found for found in index["folded"] if _is_of(found, service, document)]
    seen = versions or folded
    return ArchivedDocument(
        service=service,
        document=document,
        provider=alias.provider if alias else None,
        series=alias.series if alias else (),
        versions=len(versions),
        folded=len(folded),
        passages=len(passages),
        open=_count_open(passages, reviews),
        first_fetched=seen[0]["fetched_at"],
        last_changed=seen[-1]["fetched_at"],
    )


def _fill_version(asked: Asked, aliases: Aliases, version: Mapping[str, Any]) -> VersionRow:
    alias = aliases.find(version["service"], version["document"])
    beside = list_beside(asked.runtime.catalogue, alias, version["begins"])
    kept = ("begins", "stated_day", "fetched_at", "digest", "size_bytes", "commit")
    return VersionRow(beside=[item.id for item in beside], **{name: version[name] for name in kept})


def _fill_reasons(folded: Sequence[Mapping[str, Any]]) -> list[ReasonRow]:
    counts = Counter(item["reason"] for item in folded)
    return [ReasonRow(reason, REASONS[reason], number) for reason, number in counts.most_common()]


def _contradict(asked: Asked, aliases: Aliases, item: Mapping[str, Any]) -> list[Contradiction]:
    service, document = item["service"], item["document"]
    alias = aliases.find(service, document)
    found = find_contradictions(asked.runtime.catalogue, alias, service, document, item["versions"])
    return [Contradiction(**asdict(finding)) for finding in found]


def _fill_passages(passages: Sequence[Mapping[str, Any]], reviews: Reviews) -> list[PassageRow]:
    """The passages of the provider first, and of these the ones that nobody has looked at."""
    rows = [_fill_passage(item, reviews.get(item["id"], {})) for item in passages]
    return sorted(rows, key=lambda row: (row.changed_by != "provider", row.reviewed_by is not None))


def _fill_passage(item: Mapping[str, Any], review: Mapping[str, Any]) -> PassageRow:
    return PassageRow(
        id=item["id"],
        topics=item["topics"],
        old=item["old"],
        new=item["new"],
        words=mark_words(item["old"], item["new"]),
        changed_by=item["changed_by"],
        places=[Place(**place) for place in item["places"]],
        reviewed_by=review.get("actor"),
        reviewed_at=review.get("at"),
        review=review.get("reason"),
    )
