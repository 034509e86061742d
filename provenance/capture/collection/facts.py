"""The facts of a collection under our names: what is recorded, counted, and what decisions about its data sets start from."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from provenance.capture.collection.licenses import STATES, Licenses, compare_claims
from provenance.capture.collection.names import Generator, Names, fold, strictest_use
from provenance.capture.collection.parents import (
    UNKNOWN,
    Parent,
    check_links,
    find_cycles,
    resolve_parents,
    trace_ancestors,
)
from provenance.capture.collection.summary import Summary
from provenance.terms.days import parse_bound

FORMAT = "provenance-ledger/dataset-facts/1"


@dataclass(frozen=True)
class NamedGenerator:
    """A generator as upstream names it, and what we take it for; `taken_for` is None where the table knows no such name."""

    name: str
    taken_for: Generator | None


@dataclass(frozen=True)
class Window:
    """The last day on which the data set can have been generated, by the dates that its summary has (`basis`)."""

    last: dt.date | None
    basis: Mapping[str, str]


@dataclass(frozen=True)
class DatasetFacts:
    """One data set: its licences by source, generators, parents, and the days between which it was generated.

    `use` is the class that holds with the parents': theirs can only make it stricter. `parents_open` are ancestors of
    which no licence is known here.
    """

    summary: Summary
    licenses: Licenses
    generators: tuple[NamedGenerator, ...]
    parents: tuple[Parent, ...]
    ancestors: tuple[str, ...]
    stricter_ancestors: tuple[str, ...]
    parents_open: tuple[str, ...]
    use: str
    window: Window

    @property
    def id(self) -> str:
        """The data set's id, unique in the collection."""
        return self.summary.id

    @property
    def is_teacher_output(self) -> bool:
        """Whether a model is said to have generated it, or a provider's terms stand among its licences."""
        models = any(item.taken_for is None or item.taken_for.is_model for item in self.generators)
        return models or bool(self.licenses.provider_terms)


def make_facts(summaries: Sequence[Summary], names: Names) -> list[DatasetFacts]:
    """The facts of every data set, each seen with all the others."""
    licenses = {item.id: compare_claims(item.claims, names) for item in summaries}
    parents = resolve_parents(summaries, names)
    found = []
    walked = 0
    for item in summaries:
        found.append(_make(item, licenses, parents, names))
        walked += len(found[-1].ancestors)
        check_links(walked // 10, f"{item.part_of}.json: {item.id}.Derived from Datasets")
    return found


def _make(
    item: Summary, licenses: Mapping[str, Licenses], parents: Mapping[str, tuple[Parent, ...]], names: Names
) -> DatasetFacts:
    above, ancestors = trace_ancestors(item.id, parents)
    own = licenses[item.id].use
    stricter = [name for name in ancestors if strictest_use([own, licenses[name].use]) != own]
    parents_open = [parent.name for parent in above if not parent.datasets]
    uses = [own, *(licenses[name].use for name in stricter), *(["unspecified"] if parents_open else [])]
    return DatasetFacts(
        summary=item,
        licenses=licenses[item.id],
        generators=tuple(NamedGenerator(name, names.generators.get(fold(name))) for name in item.generators),
        parents=parents[item.id],
        ancestors=tuple(ancestors),
        stricter_ancestors=tuple(stricter),
        parents_open=tuple(parents_open),
        use=strictest_use(uses),
        window=_window(item),
    )


def _window(item: Summary) -> Window:
    """Published by its dates, and there when upstream first read its figures: the later of both closes the window."""
    basis = dict(item.dates)
    if item.counted:
        basis["figures read"] = item.counted[0]
    ends = [bound[1] for text in basis.values() if (bound := parse_bound(text))]
    return Window(max(ends, default=None), basis)


def count_facts(facts: Sequence[DatasetFacts]) -> dict[str, Any]:
    """What the summary of an import counts, unknown names among it."""
    summaries = [item.summary for item in facts]
    named = [one for item in facts for one in item.licenses.named]
    parents = [parent for item in facts for parent in item.parents]
    generators = [item for fact in facts for item in fact.generators]
    terms = [item for fact in facts for item in fact.licenses.provider_terms]
    states = Counter(item.licenses.state for item in facts)
    return {
        "files": len({item.part_of for item in summaries}),
        "datasets": len(facts),
        "license_entries": sum(claim.source == "self-reported" for s in summaries for claim in s.claims),
        "with_generators": sum(bool(item.generators) for item in summaries),
        "teacher_outputs": sum(item.is_teacher_output for item in facts),
        "license_states": {state: states[state] for state in STATES},
        "provider_terms": _count(item.provider for item in terms),
        "unknown_licenses": _count(item.name for item in named if not item.known),
        "licenses_without_spdx": _count(item.name for item in named if item.known and item.spdx is None),
        "unknown_generators": _count(item.name for item in generators if item.taken_for is None),
        "parents": _count(parent.state for parent in parents),
        "parents_in_collection": sum(bool(parent.datasets) for parent in parents),
        "unknown_parents": _count(parent.name for parent in parents if parent.state == UNKNOWN),
        "cycles": len(list_cycles(facts)),
        "without_any_date": sum(item.is_teacher_output and item.window.last is None for item in facts),
    }


def list_cycles(facts: Iterable[DatasetFacts]) -> list[tuple[str, ...]]:
    """The groups of data sets that derive from each other."""
    return find_cycles({item.id: item.parents for item in facts})


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))


def format_facts(item: DatasetFacts) -> dict[str, Any]:
    """One data set as the facts file holds it; claims stand as they were made, beside what we take them for."""
    summary = item.summary
    return {
        "id": summary.id,
        "name": summary.name,
        "part_of": summary.part_of,
        "hub_id": summary.hub_id,
        "urls": dict(summary.urls),
        "creators": list(summary.creators),
        "human_annotation": summary.human_annotation,
        "licenses": [asdict(one) for one in item.licenses.named],
        "license_state": item.licenses.state,
        "provider_terms": [asdict(terms) for terms in item.licenses.provider_terms],
        "use": {"own": item.licenses.own_use, "sources": item.licenses.use, "with_parents": item.use},
        "generators": [_format_generator(generator) for generator in item.generators],
        "parents": [{**asdict(parent), "datasets": list(parent.datasets)} for parent in item.parents],
        "stricter_ancestors": list(item.stricter_ancestors),
        "parents_open": list(item.parents_open),
        "generated_until": item.window.last.isoformat() if item.window.last else None,
        "dates": dict(item.window.basis),
        "teacher_output": item.is_teacher_output,
    }


def _format_generator(item: NamedGenerator) -> dict[str, Any]:
    found = item.taken_for
    return {
        "name": item.name,
        "known": found is not None,
        "is_model": found.is_model if found else True,
        "provider": found.provider if found else None,
        "model": found.model if found else None,
        "first_day": found.first_day.isoformat() if found and found.first_day else None,
    }
