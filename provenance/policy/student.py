"""The student as its developer declares it: each fact is a value, or not known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from provenance.errors import FieldError, MalformedError
from provenance.terms.catalogue import Catalogue
from provenance.terms.match import matches
from provenance.terms.places import EXPORT_CONCERN

_SLIP = 0.8  # of the letters in common: opneai, antropic and mistrall are slips, beta and baichuan are not
_SHORTEST = 5  # the names of companies that are shorter lie too close: ai21 is not a slip for ai2
FROM_SCRATCH = frozenset({"none", "scratch", "from-scratch"})
# Accelerators at or above the thresholds of ECCN 3A090 (regulation notes, US-EXP/1); names as vendors print them.
CONTROLLED_HARDWARE = ("h100", "h200", "h800", "a100", "a800", "b100", "b200", "b300", "gb200", "gb300", "gh200",
                       "mi250", "mi300", "mi325", "mi350", "mi355", "l40s", "gaudi3", "gaudi 3")  # fmt: skip


@dataclass(frozen=True)
class Student:
    """Facts of a student; None is "not known". `base_model` is empty for a student that starts from scratch.

    `base_by_name` says that the name of the base alone tells its licence: it starts from scratch, or is on record.
    """

    name: str | None
    developer: str | None
    country: str | None
    parent_country: str | None
    base_model: str | None
    base_license: str | None
    base_by_name: bool
    release_license: str | None
    use: str | None
    distribution: str | None
    purpose: str | None
    competes_with: frozenset[str] | None
    territories: tuple[str, ...] | None
    monthly_active_users: float | None
    annual_revenue_usd: float | None
    notices: tuple[str, ...] | None
    training_location: str | None
    hardware: str | None

    @property
    def export_concern(self) -> bool:
        """Whether the developer or its ultimate parent sits in Country Group D:5 or Macau, as far as declared."""
        return bool({self.country, self.parent_country} & EXPORT_CONCERN)

    @property
    def controlled_hardware(self) -> bool:
        """Whether the declared training hardware names an accelerator at the 3A090 thresholds."""
        declared = (self.hardware or "").lower()
        return any(name in declared for name in CONTROLLED_HARDWARE)


def parse_student(facts: Mapping[str, Any], catalogue: Catalogue) -> Student:
    """A student from facts that `validate_student` has passed; provider names become the catalogue's."""
    developer = _known(facts.get("developer")) or {}
    training = _known(facts.get("training")) or {}
    competes = _known(facts.get("competes_with"))
    base_model, base_license = _base_model(facts), _known(facts.get("base_license"))
    return Student(
        name=_known(facts.get("name")),
        developer=_known(developer.get("name")),
        country=_known(developer.get("country")),
        parent_country=_known(developer.get("ultimate_parent_country")),
        base_model=base_model,
        base_license=base_license,
        base_by_name=base_license is None and base_model is not None and _is_told_by_name(base_model, catalogue),
        release_license=_known(facts.get("release_license")),
        use=_known(facts.get("use")),
        distribution=_known(facts.get("distribution")),
        purpose=_known(facts.get("purpose")),
        competes_with=_competitors(competes, catalogue),
        territories=_tuple(facts.get("territories")),
        monthly_active_users=_known(facts.get("monthly_active_users")),
        annual_revenue_usd=_known(facts.get("annual_revenue_usd")),
        notices=_tuple(facts.get("notices")),
        training_location=_known(training.get("location")),
        hardware=_known(training.get("hardware")),
    )


def _known(value: Any) -> Any:
    return None if value == "unknown" else value


def _tuple(value: Any) -> tuple[str, ...] | None:
    found = _known(value)
    return None if found is None else tuple(found)


def _base_model(facts: Mapping[str, Any]) -> str | None:
    """A base that is written as null says "none"; a base that is left out is not known."""
    if "base_model" not in facts or facts["base_model"] == "unknown":
        return None
    base = facts["base_model"] or ""
    return "" if base.lower() in FROM_SCRATCH else base


def _is_told_by_name(base: str, catalogue: Catalogue) -> bool:
    return not base or any("weights" in d.access and matches(d.models, base) for d in catalogue.documents)


def _competitors(names: list[str] | None, catalogue: Catalogue) -> frozenset[str] | None:
    if names is None or "unknown" in names:
        return None
    return frozenset(_provider_name(name, catalogue) for name in names)


def _provider_name(name: str, catalogue: Catalogue) -> str:
    """The catalogue's name; "OpenAI Inc." is taken for openai, as a competitor overlooked would permit too much."""
    provider = catalogue.find_provider(name)
    words = re.split(r"[^a-z0-9.]+", name.strip().lower())
    for count in range(len(words) - 1, 0, -1):
        provider = provider or catalogue.find_provider("-".join(words[:count]))
    if provider is None:
        _refuse_misspelt(name, catalogue)
    return provider.name if provider else name.lower()


def _refuse_misspelt(name: str, catalogue: Catalogue) -> None:
    """A company that is not on record may be meant; one letter beside a name on record is a slip."""
    known_as = (n for provider in catalogue.providers.values() for n in (provider.name, *provider.aliases))
    names = [n for n in known_as if len(n) >= _SHORTEST]
    near = get_close_matches(name.strip().lower(), names, n=1, cutoff=_SLIP)
    if near:
        error = FieldError("student.competes_with", name, f"a provider's name; {near[0]} is on record")
        raise MalformedError(f"student facts: competes_with names {name!r}; did you mean {near[0]!r}?", error)
