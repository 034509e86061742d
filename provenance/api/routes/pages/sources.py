"""Pages of sources: the providers, and one provider's documents with their clauses."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.rendering import quote_segment
from provenance.api.views.sources import Clause, SourceDocument, SourcePage, SourceRow, SourcesPage
from provenance.store.log import find_statement
from provenance.store.pages import list_slices
from provenance.terms.catalogue import Provider
from provenance.terms.document import Document

router = APIRouter()


@add_page(router, "/sources", "json", "csv")
def index_sources(asked: PageDep) -> Response:
    """Whose terms are on record."""
    samples = _count_samples(asked)
    rows = [_fill_row(item, samples[item.name]) for item in asked.runtime.catalogue.providers.values()]
    return asked.answer(SourcesPage(sorted(rows, key=lambda row: (-row.samples, row.name.lower()))))


@add_page(router, "/sources/{provider}", "json", "csv")
def show_source(provider: str, asked: PageDep) -> Response:
    """Which words of a provider applied on which day."""
    return asked.answer(fill_source(asked, asked.runtime.catalogue.provider(provider)))


@router.get("/terms/{identifier}", response_model=None)
def find_terms(identifier: str, asked: PageDep) -> RedirectResponse:
    """A terms document, where its provider's page shows it."""
    document = asked.runtime.catalogue.get(identifier)
    return RedirectResponse(f"/sources/{quote_segment(document.provider)}#{quote_segment(document.id)}", 307)


def fill_source(asked: Asked, provider: Provider) -> SourcePage:
    """The page of a provider."""
    return SourcePage(
        provider=provider.name,
        name=provider.title,
        jurisdiction=provider.home_jurisdiction,
        checked_on=provider.checked_on,
        notes=provider.notes,
        documents=[_fill_document(asked, document) for document in provider.documents],
    )


def _count_samples(asked: Asked) -> Counter[str]:
    counts: Counter[str] = Counter()
    for item in list_slices(asked.session):
        found = asked.runtime.catalogue.find_provider(item.fact_class.facts["teacher"]["provider"])
        counts[found.name if found else ""] += item.samples
    return counts


def _fill_row(provider: Provider, samples: int) -> SourceRow:
    verified = sum(document.verified for document in provider.documents)
    home = provider.home_jurisdiction
    return SourceRow(provider.name, provider.title, home, len(provider.documents), verified, samples)


def _fill_document(asked: Asked, document: Document) -> SourceDocument:
    logged = find_statement(asked.session, "terms", document.id)
    return SourceDocument(
        id=document.id,
        title=document.title,
        kind=document.kind,
        version=document.version,
        route=", ".join(document.access),
        effective_from=document.effective_from,
        effective_to=document.effective_to,
        verified=document.verified,
        digest=document.digest,
        models=document.models,
        clauses=_fill_clauses(document),
        notes=document.notes,
        entry_index=logged.index if logged else None,
    )


def _fill_clauses(document: Document) -> list[Clause]:
    training = document.training
    stated = "".join(f" Left open: {item.text}." for item in training.exceptions)
    first = Clause("train on outputs", training.value, training.clause, training.paraphrase + stated, training.verified)
    facts = [
        Clause(name.replace("_", " "), fact.value, fact.clause, fact.paraphrase, fact.verified)
        for name, fact in document.facts.items()
    ]
    conditions = [
        Clause(
            f"condition: {item.type}", f"attaches to {item.attaches_to}", item.clause, item.paraphrase, item.verified
        )
        for item in document.conditions
    ]
    return [first, *facts, *conditions]
