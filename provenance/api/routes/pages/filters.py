"""The samples list's filters: what was chosen, which slices that keeps, and how many samples each further choice holds.

Within a facet choices add up (or), between facets they narrow (and). The counts of a facet leave its own choice out, so
that they say what another choice would show. Every filter is about a dataset or about a fact class, never about both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlencode

from provenance.api.status import describe_status
from provenance.api.views.common import Chip, Facet, FacetValue
from provenance.report.formats import shorten_digest
from provenance.store.pages import Slice
from provenance.store.tables import DecisionClass, SampleRow
from provenance.terms.catalogue import Catalogue

UNDECIDED = "undecided"
TITLES = {
    "teacher": "Teacher",
    "provider": "Provider",
    "dataset": "Data set",
    "verdict": "Latest verdict",
    "evidence": "Evidence",
    "route": "Route",
    "fact_class": "Facts",
}
SHOWN_ALWAYS = ("teacher", "verdict", "dataset", "evidence", "route")  # the others once a link chose one
SHOWN_VALUES = 8


@dataclass(frozen=True)
class Filters:
    """The active filters over all slices; `latest` is the newest decision on each fact class."""

    chosen: Mapping[str, Sequence[str]]
    query: str
    slices: Sequence[Slice]
    latest: Mapping[int, DecisionClass]
    catalogue: Catalogue
    _readers: dict[str, Callable[[Slice], str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._readers.update(
            teacher=lambda item: item.fact_class.teacher,
            provider=self._provider,
            dataset=lambda item: item.dataset.name,
            verdict=self.verdict_of,
            evidence=lambda item: str(item.fact_class.facts["evidence"]),
            route=lambda item: str(item.fact_class.facts["teacher"]["route"]),
            fact_class=lambda item: item.fact_class.digest,
        )

    @property
    def active(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.query) or any(self.chosen.values())

    @cached_property
    def _by_key(self) -> Mapping[tuple[int, int], Slice]:
        return {item.key: item for item in self.slices}

    def slice_of(self, row: SampleRow) -> Slice:
        """The slice that a sample belongs to."""
        return self._by_key[row.dataset_id, row.fact_class_id]

    def verdict_of(self, item: Slice) -> str:
        """The newest verdict on a slice, or `undecided`."""
        found = self.latest.get(item.key[1])
        return found.verdict if found else UNDECIDED

    def selected(self, *, leave_out: str | None = None) -> list[Slice]:
        """The slices that all choices keep, `leave_out`'s aside."""
        return [item for item in self.slices if self.keeps(item, leave_out=leave_out)]

    def keeps(self, item: Slice, *, leave_out: str | None = None) -> bool:
        """Whether the choices keep a slice."""
        return all(
            self._readers[name](item) in values for name, values in self.chosen.items() if values and name != leave_out
        )

    def with_teacher(self, slices: Sequence[Slice]) -> list[Slice]:
        """Of these, those whose teacher's name holds the search text."""
        return [item for item in slices if self.query.lower() in item.fact_class.teacher.lower()]

    def facets(self) -> list[Facet]:
        """Each facet with the counts of its values, most frequent first."""
        names = [name for name in TITLES if name in SHOWN_ALWAYS or self.chosen[name]]
        return [self._facet(name) for name in names if self.slices]

    def chips(self) -> list[Chip]:
        """Each active filter in words, with the list's URL without it."""
        chips = [
            Chip(f"{TITLES[name]}: {self._label(name, value)}", self._url(name, value))
            for name, values in self.chosen.items()
            for value in values
        ]
        return [*chips, Chip(f"Search: {self.query}", self._url("q", self.query))] if self.query else chips

    def _facet(self, name: str) -> Facet:
        counts: Counter[str] = Counter()
        for item in self.selected(leave_out=name):
            counts[self._readers[name](item)] += item.samples
        for value in self.chosen[name]:
            counts.setdefault(value, 0)
        order = sorted(counts, key=lambda value: (value not in self.chosen[name], -counts[value], value))
        values = [
            FacetValue(value, self._label(name, value), counts[value], value in self.chosen[name])
            for value in order[:SHOWN_VALUES]
        ]
        return Facet(name, TITLES[name], values, len(order) - len(values))

    def _label(self, name: str, value: str) -> str:
        if name == "verdict":
            return "Not decided" if value == UNDECIDED else describe_status(value).word
        return shorten_digest(value) if name == "fact_class" else value

    def _url(self, name: str, value: str) -> str:
        kept = [(key, item) for key, values in self.chosen.items() for item in values if (key, item) != (name, value)]
        if self.query and name != "q":
            kept.append(("q", self.query))
        return f"/samples?{urlencode(kept)}" if kept else "/samples"

    def _provider(self, item: Slice) -> str:
        name = str(item.fact_class.facts["teacher"]["provider"])
        found = self.catalogue.find_provider(name)
        return found.name if found else name
