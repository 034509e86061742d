"""What the catalogue leaves open: gaps, overlaps and fuzzy bounds between versions that follow each other.

A text that nobody archived is a fact of the world, which the file owns up to in `open_days`; a gap or an overlap that
it does not is a slip. Decisions on an open day are judged under every candidate; the list lets counsel see where.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections import defaultdict
from dataclasses import dataclass

from provenance.errors import MalformedError, TermsDocumentError
from provenance.terms.catalogue import Catalogue
from provenance.terms.days import parse_day
from provenance.terms.document import Document

ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class CatalogueFinding:
    """One place where the day alone does not settle which document binds."""

    kind: str
    series: str
    documents: tuple[str, ...]
    text: str


def check_catalogue(catalogue: Catalogue) -> list[CatalogueFinding]:
    """Gaps, overlaps, fuzzy and open bounds of every series, in the order of the catalogue."""
    series: dict[tuple[str, object], list[Document]] = defaultdict(list)
    findings: list[CatalogueFinding] = []
    for document in catalogue.documents:
        findings.extend(_check_bounds(document))
        residents = repr(document.residents and sorted(document.residents))
        key = document.models if "weights" in document.access else residents
        series[document.series, key].append(document)
    for (name, _), documents in series.items():
        dated = sorted((d for d in documents if d.period.start), key=lambda d: d.period.start or ())
        for before, after in itertools.pairwise(dated):
            findings.extend(_check_pair(name, before, after))
    return findings


def check_days(catalogue: Catalogue, *, today: dt.date) -> None:
    """Refuse terms that were read, or are said to hold already, on a day that has not come.

    Raises:
        TermsDocumentError: names the file and the day.
    """
    for provider in catalogue.providers.values():
        try:
            read = parse_day(provider.checked_on)
        except MalformedError as exc:
            raise TermsDocumentError(f"{provider.name}.yaml: checked_on: {exc.detail}") from exc
        if read > today:
            raise TermsDocumentError(f"{provider.name}.yaml: checked_on {read}, expected a day not after {today}")
        for document in provider.documents:
            if document.period.start and document.period.start[0] > read:
                text = f"effective_from {document.effective_from}, expected a day not after checked_on {read}"
                raise TermsDocumentError(f"{provider.name}.yaml: document {document.id}: {text}")


def check_order(catalogue: Catalogue) -> None:
    """Refuse a gap or an overlap between versions that `open_days` of the provider's file does not own up to.

    Raises:
        TermsDocumentError: names the file, both versions and their days.
    """
    for finding in check_catalogue(catalogue):
        if finding.kind not in ("gap", "overlap"):
            continue
        provider = catalogue.get(finding.documents[0]).provider
        if finding.documents not in catalogue.providers[provider].open_days:
            text = f"{finding.kind}: {finding.text}; end one where the other begins, or say why in open_days"
            raise TermsDocumentError(f"{provider}.yaml: {text}")


def _check_bounds(document: Document) -> list[CatalogueFinding]:
    found = []
    for label, text, bound in (
        ("effective_from", document.effective_from, document.period.start),
        ("effective_to", document.effective_to, document.period.end),
    ):
        if bound is None and label == "effective_from":
            found.append(_finding("open", document.series, (document,), f"{document.id}: {label} is not on record"))
        elif bound is not None and bound[0] != bound[1]:
            found.append(_finding("fuzzy", document.series, (document,), f"{document.id}: {label} is only {text}"))
    return found


def _check_pair(series: str, before: Document, after: Document) -> list[CatalogueFinding]:
    start = after.period.start
    end = before.period.end
    if start is None:
        return []
    names = (before, after)
    if end is None or end[0] >= start[0]:
        last = before.effective_to or "an end that is not on record"
        text = f"{before.id} runs to {last}, {after.id} from {after.effective_from}: both may bind"
        return [_finding("overlap", series, names, text)]
    if end[1] + ONE_DAY < start[0]:
        text = f"no text on record between {before.id} (to {before.effective_to}) and {after.id} (from {after.effective_from})"
        return [_finding("gap", series, names, text)]
    return []


def _finding(kind: str, series: str, documents: tuple[Document, ...], text: str) -> CatalogueFinding:
    return CatalogueFinding(kind, series, tuple(document.id for document in documents), text)
