"""Versions that follow each other: which of them may have been in force on a day.

- One text that certainly held is the choice. Where the bounds leave it open, every text that may have held is.
- A day on which none held, between two that did, is a gap: both neighbours are candidates and nothing is permitted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from provenance.terms.document import Document
from provenance.terms.places import expand_places


@dataclass(frozen=True)
class Choice:
    """The candidates of one series on one day; `gap` says that it may be that none of them held."""

    series: str
    candidates: tuple[Document, ...]
    gap: bool = False
    needs: tuple[str, ...] = ()


def choose_version(
    documents: Sequence[Document], day: dt.date | None, place: str | None = None, *, date_fact: str = "generated_at"
) -> Choice | None:
    """The candidates among the versions of one series; None when none is on record for the day.

    `place` is where the account's holder lives as far as it is known; texts for residents of one region need it.
    """
    if not documents:
        return None
    name = documents[0].series
    if day is None:
        return Choice(name, tuple(documents), gap=True, needs=(date_fact,))
    if place is not None or all(document.residents is None for document in documents):
        return _choose_in(name, [d for d in documents if _reaches(d, place, day)], day)
    inside = _choose_in(name, [d for d in documents if _reaches(d, "DE", day)], day)
    outside = _choose_in(name, [d for d in documents if _reaches(d, "US", day)], day)
    return _either(name, inside, outside)


def _either(name: str, first: Choice | None, second: Choice | None) -> Choice | None:
    if first == second:
        return first
    both = tuple(dict.fromkeys((*(first.candidates if first else ()), *(second.candidates if second else ()))))
    gap = first is None or second is None or first.gap or second.gap
    return Choice(name, both, gap=gap, needs=("generated_in",))


def _reaches(document: Document, place: str | None, day: dt.date) -> bool:
    """Whether the text is the one for residents of `place`."""
    residents = document.residents
    if residents is None or place is None:
        return True
    country = expand_places([place])
    if "within" in residents:
        return bool(country & expand_places(residents["within"]))
    since = residents.get("since")
    if since is not None and day < dt.date.fromisoformat(since):
        return True
    return not country & expand_places(residents["outside"])


def _choose_in(name: str, documents: Sequence[Document], day: dt.date) -> Choice | None:
    states = [(document.period.presence(day), document) for document in documents]
    held = [document for state, document in states if state == "in"]
    perhaps = [document for state, document in states if state == "maybe"]
    if held:
        return Choice(name, tuple(held + perhaps))
    earlier = _latest([document for state, document in states if state == "after"])
    later = _earliest([document for state, document in states if state == "before"])
    if not perhaps:
        return Choice(name, (*earlier, *later), gap=True) if earlier and later else None
    may_have_ended = any(d.period.end is not None and day > d.period.end[0] for d in perhaps)
    may_not_have_begun = any(d.period.start is None or day < d.period.start[1] for d in perhaps)
    before = earlier if may_not_have_begun else ()
    after = later if may_have_ended else ()
    gap = may_have_ended or bool(before)
    return Choice(name, (*before, *perhaps, *after), gap=gap)


def _latest(documents: Sequence[Document]) -> tuple[Document, ...]:
    dated = [document for document in documents if document.period.end]
    return (max(dated, key=lambda d: d.period.end or ()),) if dated else ()


def _earliest(documents: Sequence[Document]) -> tuple[Document, ...]:
    dated = [document for document in documents if document.period.start]
    return (min(dated, key=lambda d: d.period.start or ()),) if dated else ()
