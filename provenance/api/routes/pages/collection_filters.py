"""The filters of a collection's data sets: what was chosen, what that keeps, how many each further choice holds.

Within a facet choices add up (or), between facets they narrow (and), as in the samples list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from provenance.api.status import STATUSES
from provenance.api.views.collections import CollectionDataset
from provenance.api.views.common import Chip, Facet, FacetValue, Pager
from provenance.capture.collection.names import USES
from provenance.policy.verdict import VERDICTS

TITLES = {"kind": "Difference", "ours": "Ours", "upstream": "Upstream", "licences": "Sources of the licence"}
PAGE_SIZE = 50
SHOWN_VALUES = 20
_READERS: Mapping[str, Callable[[CollectionDataset], Sequence[str]]] = {
    "kind": lambda item: item.kinds,
    "ours": lambda item: (item.ours,),
    "upstream": lambda item: (item.upstream,),
    "licences": lambda item: (item.license_state,),
}


@dataclass(frozen=True)
class CollectionFilters:
    """The active filters over the data sets of one collection, whose page is at `base`."""

    base: str
    chosen: Mapping[str, Sequence[str]]
    query: str
    facts: Mapping[str, Any]
    comparison: Mapping[str, Any]

    @cached_property
    def datasets(self) -> list[CollectionDataset]:
        """Every data set, in the order of ids, which is that of the pages."""
        compared = {item["id"]: item for item in self.comparison["datasets"]}
        rows = [_fill(item, compared[item["id"]]) for item in self.facts["datasets"]]
        return sorted(rows, key=lambda item: item.id)

    def selected(self, *, leave_out: str | None = None) -> list[CollectionDataset]:
        """The data sets that the search and all choices keep, `leave_out`'s aside."""
        text = self.query.lower()
        return [
            item
            for item in self.datasets
            if (not text or text in f"{item.id}\n{item.name}\n{item.part_of}".lower())
            and all(
                set(_READERS[name](item)).intersection(values)
                for name, values in self.chosen.items()
                if values and name != leave_out
            )
        ]

    def facets(self) -> list[Facet]:
        """Each facet with the counts of its values, most frequent first."""
        return [self._facet(name) for name in TITLES]

    def chips(self) -> list[Chip]:
        """Each active filter in words, with the list's URL without it."""
        chips = [
            Chip(f"{TITLES[name]}: {label_of(value)}", self._url_without(name, value))
            for name, values in self.chosen.items()
            for value in values
        ]
        return [*chips, Chip(f"Search: {self.query}", self._url_without("q", self.query))] if self.query else chips

    def url_of(self, name: str, value: str) -> str:
        """The list with this one filter."""
        return f"{self.base}?{urlencode([(name, value)])}#data-sets"

    def url_after(self, dataset: str) -> str:
        """The next page of the list, which begins behind `dataset`."""
        return f"{self.base}?{urlencode([*self._pairs(), ('after', dataset)])}#data-sets"

    def _facet(self, name: str) -> Facet:
        counts = Counter(value for item in self.selected(leave_out=name) for value in _READERS[name](item))
        chosen = self.chosen.get(name, ())
        for value in chosen:
            counts.setdefault(value, 0)
        order = sorted(counts, key=lambda value: (value not in chosen, -counts[value], value))
        values = [FacetValue(value, label_of(value), counts[value], value in chosen) for value in order[:SHOWN_VALUES]]
        return Facet(name, TITLES[name], values, len(order) - len(values))

    def _pairs(self) -> list[tuple[str, str]]:
        pairs = [(name, value) for name, values in self.chosen.items() for value in values]
        return [*pairs, ("q", self.query)] if self.query else pairs

    def _url_without(self, name: str, value: str) -> str:
        kept = [pair for pair in self._pairs() if pair != (name, value)]
        return f"{self.base}?{urlencode(kept)}" if kept else self.base


def label_of(value: str) -> str:
    """A value in words: verdicts as pages name them, classes as they are, kinds without their hyphens."""
    if value in VERDICTS:
        return STATUSES[value].word
    return value if value in USES else value.replace("-", " ")


def page_of(filters: CollectionFilters, after: str) -> tuple[list[CollectionDataset], Pager]:
    """The data sets behind `after`, as many as a page holds, and where the list goes on."""
    kept = filters.selected()
    rows = [item for item in kept if item.id > after]
    shown = rows[:PAGE_SIZE]
    older = filters.url_after(shown[-1].id) if len(rows) > PAGE_SIZE else None
    before = [item for item in kept if item.id <= after]
    newer = None
    if before:
        newer = filters.url_after(before[-PAGE_SIZE - 1].id if len(before) > PAGE_SIZE else "")
    return shown, Pager(len(shown), len(kept), newer_url=newer, older_url=older)


def _fill(said: Mapping[str, Any], compared: Mapping[str, Any]) -> CollectionDataset:
    labels = dict.fromkeys(item["spdx"] or item["name"] for item in said["licenses"])
    return CollectionDataset(
        id=said["id"],
        name=said["name"],
        part_of=said["part_of"],
        teacher_output=compared["teacher_output"],
        licenses=list(labels),
        license_state=said["license_state"],
        generators=[item["name"] for item in said["generators"]],
        parents=len(said["parents"]),
        ours=compared["ours"],
        upstream=compared["upstream"],
        kinds=compared["kinds"],
    )
