"""Pages of sources: the providers, and one provider's documents with their clauses."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.rendering import quote_segment
from provenance.api.routes.pages.policies import fill_flips, fill_totals
from provenance.api.views.sources import (
    Clause,
    ImpactPage,
    SourceDocument,
    SourcePage,
    SourceRow,
    SourcesPage,
    TermsText,
)
from provenance.govern import measure_impact
from provenance.policy.exposure import Exposure, find_exposure
from provenance.store.log import find_statement, get_statement
from provenance.store.pages import list_slices, name_students
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
    said = get_statement(asked.session, "terms", identifier).predicate
    anchor = f"#{quote_segment(identifier)}" if asked.runtime.catalogue.find(identifier) else ""
    return RedirectResponse(f"/sources/{quote_segment(said['provider'])}{anchor}", 307)


@add_page(router, "/terms/{identifier}/impact", "json", "csv")
def show_impact(identifier: str, asked: PageDep) -> Response:
    """What a document binds, what its newest change says, and which past verdicts it flips."""
    return asked.answer(fill_impact(asked, identifier))


def fill_impact(asked: Asked, identifier: str) -> ImpactPage:
    """The page of a document's newest change."""
    said = measure_impact(asked.runtime, asked.session, identifier)
    bound = find_exposure(asked.session, asked.runtime.catalogue).get(identifier, Exposure()).describe()
    hit = said["impact"] or {}
    students = name_students(asked.session)
    return ImpactPage(
        id=identifier,
        provider=said["provider"],
        entry_index=said["entry"],
        recorded_at=said["recorded_at"],
        recorded_by=said["recorded_by"],
        **bound,
        changed=said["changed"],
        changes=[TermsText(change["text"], change["material"]) for change in said["changes"]],
        decisions=hit.get("decisions"),
        not_replayed=len(hit.get("not_replayed", ())),
        totals=fill_totals(hit.get("totals", {})),
        flips=fill_flips(hit.get("flips", ()), students),
    )


def fill_source(asked: Asked, provider: Provider) -> SourcePage:
    """The page of a provider."""
    bound = find_exposure(asked.session, asked.runtime.catalogue)
    return SourcePage(
        provider=provider.name,
        name=provider.title,
        jurisdiction=provider.home_jurisdiction,
        checked_on=provider.checked_on,
        notes=provider.notes,
        documents=[
            _fill_document(asked, document, bound.get(document.id, Exposure())) for document in provider.documents
        ],
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


def _fill_document(asked: Asked, document: Document, bound: Exposure) -> SourceDocument:
    logged = find_statement(asked.session, "terms", document.id)
    anew = logged.predicate if logged and logged.predicate.get("recorded_by") else {}
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
        changed_at=anew.get("recorded_at"),
        changed_by=anew.get("recorded_by"),
        **bound.describe(),
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
