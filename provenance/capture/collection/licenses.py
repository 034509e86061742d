"""The licences that several sources name for one data set, side by side; providers' terms kept apart from them.

- A source that writes "Unspecified" or nothing is silent. "No License" and "Custom" are words, so it speaks.
- The class of a data set comes from what its own makers say; another source can make it stricter, never clear it: a tag
  is set by an uploader, and a repository's licence file is mostly about its code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from provenance.capture.collection.names import Names, fold, strictest_use
from provenance.capture.collection.summary import SELF_REPORTED, SOURCES, Claim

AGREE, DIFFER, ONE_SOURCE, NONE = "agree", "differ", "one-source", "none"
STATES = (AGREE, DIFFER, ONE_SOURCE, NONE)


@dataclass(frozen=True)
class NamedLicense:
    """A licence as one source names it; `known` says that our table knows the name, `use` is its class by our reading."""

    source: str
    name: str
    spdx: str | None
    use: str
    known: bool
    url: str | None

    @property
    def label(self) -> str:
        """What it is compared by: the SPDX id, or the name."""
        return self.spdx or self.name


@dataclass(frozen=True)
class ProviderTerms:
    """A provider's terms that upstream files among licences: a contract of whoever called the teacher."""

    source: str
    name: str
    provider: str
    url: str | None


@dataclass(frozen=True)
class Licenses:
    """All that the sources say; `own_use` is the class of what its makers say, `use` that with the other sources' limits."""

    named: tuple[NamedLicense, ...]
    provider_terms: tuple[ProviderTerms, ...]
    state: str
    own_use: str
    use: str

    def of(self, source: str) -> tuple[str, ...]:
        """The labels that one source gives, sorted."""
        return tuple(sorted({item.label for item in self.named if item.source == source}))


def compare_claims(claims: Iterable[Claim], names: Names) -> Licenses:
    """The claims of one data set, normalised and compared."""
    named: list[NamedLicense] = []
    terms: list[ProviderTerms] = []
    makers_silent = False
    for claim in dict.fromkeys(claims):
        key = fold(claim.name)
        if key in names.provider_terms:
            terms.append(ProviderTerms(claim.source, claim.name, names.provider_terms[key], claim.url))
        elif key in names.silent:
            makers_silent |= claim.source == SELF_REPORTED
        else:
            known = names.licenses.get(key)
            spdx, use = (known.spdx, known.use) if known else (None, "unspecified")
            named.append(NamedLicense(claim.source, claim.name, spdx, use, known is not None, claim.url))
    own = [item.use for item in named if item.source == SELF_REPORTED] + ["unspecified"] * makers_silent
    others = [item.use for item in named if item.source != SELF_REPORTED and item.use != "unspecified"]
    own_use = strictest_use(own)
    return Licenses(tuple(named), tuple(terms), _state(named), own_use, strictest_use([own_use, *others]))


def _state(named: Iterable[NamedLicense]) -> str:
    by_source = {source: {item.label for item in named if item.source == source} for source in SOURCES}
    said = [labels for labels in by_source.values() if labels]
    if not said:
        return NONE
    if len(said) == 1:
        return ONE_SOURCE
    return AGREE if all(labels == said[0] for labels in said) else DIFFER
