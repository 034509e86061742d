"""What the catalogue leaves open: gaps, overlaps and fuzzy bounds between versions that follow each other.

None of these is an error of the file: a text that nobody archived is a fact of the world. Decisions on such a day
are judged under every candidate; this list lets counsel see where that happens.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections import defaultdict
from dataclasses import dataclass

from provenance.terms.catalogue import Catalogue
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
