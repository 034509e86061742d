"""Other versions of the terms: the same outputs from another copy of the weights, or made again under the terms in force.

Terms do not reach back: another version is a remedy only for outputs that are made again, and each is judged first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document
from provenance.terms.match import matches, most_specific
from provenance.terms.resolve import known, resolve_terms


@dataclass(frozen=True)
class Version:
    """A sample as it would be under another version, and what to do for it."""

    change: str
    text: str
    sample: Mapping[str, Any]


def other_versions(sample: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Version]:
    """The sample under each other version of what binds it that begins on a known day, the newest first."""
    teacher = sample["teacher"]
    binding = resolve_terms(sample, catalogue)
    if binding.unmatched or binding.day is None or binding.route not in ("weights", "api", "consumer"):
        return
    bound = {document.id for document in binding.documents}
    others = _named(binding.documents, binding.model or "", binding.route, catalogue)
    for document in sorted(
        (d for d in others if d.id not in bound), key=lambda d: d.effective_from or "", reverse=True
    ):
        begin = document.period.start
        if begin is None or begin[0] != begin[1]:
            continue
        day = begin[0].isoformat()
        if binding.route == "weights":
            copy = {**teacher, "obtained_at": day, "revision": None}
            held = f"{document.effective_from} to {document.effective_to or 'now'}"
            text = f"Generate from a copy of the weights taken under {document.title} ({held})."
            made = max(day, str(known(sample.get("generated_at"))))
            yield Version(f"copy under {document.id}", text, {**sample, "teacher": copy, "generated_at": made})
        elif document.period.end is None and begin[0] > binding.day:
            text = f"Generate again under {document.title}, in force since {day}."
            yield Version(f"generate again under {document.id}", text, {**sample, "generated_at": day})


def _named(bound: list[Document], model: str, route: str, catalogue: Catalogue) -> list[Document]:
    """The versions that name the model, of the providers and series that bind it."""
    if route == "weights":
        providers = {document.provider for document in bound[:1]}
        offered = (d for p in providers for d in catalogue.providers[p].documents if "weights" in d.access)
        return most_specific(offered, model)
    series = {(document.provider, document.series) for document in bound}
    same = (d for d in catalogue.documents if (d.provider, d.series) in series and route in d.access)
    return [d for d in same if route == "consumer" or matches(d.models, model)]
