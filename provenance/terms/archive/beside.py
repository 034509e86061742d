"""An archive beside the catalogue: which documents a version stands beside, and where the days of both disagree.

A version begins on the day that its text states, if that day is new, else on the day on which it was fetched. What is
found here is for a person to look at; the catalogue is not changed by it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.terms.archive.aliases import Alias
from provenance.terms.archive.fold import plain
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document

HEAD_CHARACTERS = 3000
NEAR_DAYS = 14
_STATED = re.compile(
    r"\b(?:effective|in force|applies|valid)(?: date)?\s?:?\s?(?:as of|from|on|since)?\s?(\d{4}-\d\d-\d\d)",
    re.IGNORECASE,
)
_UPDATED = re.compile(r"\b(?:last )?(?:updated?|modified|revised)\s?:?\s?(?:on)?\s?(\d{4}-\d\d-\d\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """Where archive and catalogue disagree on a day, in words."""

    service: str
    document: str
    day: str
    text: str


def find_stated_day(text: str) -> str | None:
    """The day from which a text says that it applies, else the day on which it says that it was updated."""
    head = plain(text[:HEAD_CHARACTERS])
    for pattern in (_STATED, _UPDATED):
        for found in pattern.finditer(head):
            try:
                return dt.date.fromisoformat(found[1]).isoformat()
            except ValueError:
                continue
    return None


def list_beside(catalogue: Catalogue, alias: Alias | None, day: str) -> list[Document]:
    """The catalogue's documents of the same series that were, or may have been, in force on the day."""
    moment = dt.date.fromisoformat(day)
    return [item for item in _candidates(catalogue, alias) if item.period.presence(moment) in {"in", "maybe"}]


def find_contradictions(
    catalogue: Catalogue, alias: Alias | None, service: str, document: str, versions: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """Where a document's versions and the catalogue's dates disagree."""
    candidates = _candidates(catalogue, alias)
    if not candidates or not versions:
        return []
    findings = []
    for version in versions:
        day = version["begins"]
        if not list_beside(catalogue, alias, day):
            findings.append(Finding(service, document, day, "no document of the catalogue was in force on this day"))
        elif day == version["stated_day"] and not any(_starts(item, day) for item in candidates):
            text = "the archived text states this day; no document of the catalogue starts on it"
            findings.append(Finding(service, document, day, text))
    return findings + _find_unseen(candidates, service, document, versions)


def _find_unseen(
    candidates: Sequence[Document], service: str, document: str, versions: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    days = [dt.date.fromisoformat(day) for item in versions for day in (item["begins"], item["fetched_at"][:10])]
    first = dt.date.fromisoformat(versions[0]["fetched_at"][:10])
    last = dt.date.fromisoformat(versions[-1]["fetched_at"][:10])
    findings = []
    for item in candidates:
        start = item.period.start
        if start is None or start[0] != start[1] or not first < start[0] <= last:
            continue
        if all(abs((day - start[0]).days) > NEAR_DAYS for day in days):
            text = f"{item.id} starts on this day; the archived text did not change within {NEAR_DAYS} days of it"
            findings.append(Finding(service, document, start[0].isoformat(), text))
    return findings


def _candidates(catalogue: Catalogue, alias: Alias | None) -> list[Document]:
    if alias is None:
        return []
    return [item for item in catalogue.documents if item.provider == alias.provider and item.series in alias.series]


def _starts(document: Document, day: str) -> bool:
    start = document.period.start
    return start is not None and start[0] <= dt.date.fromisoformat(day) <= start[1]
