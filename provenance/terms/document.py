"""One terms document or licence: typed values of what the catalogue's file says, and nothing that it does not say.

- A fact keeps its clause, our paraphrase and whether the text itself was read (`verified`).
- `silent`, `unknown` and "no bar" are three values; none of them is a permission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.terms.days import Period, parse_period

PERMITTING = frozenset({"allowed", "allowed-with-conditions"})
BARRING = frozenset({"prohibited-competing", "prohibited-any-other-model"})
ASSIGNING = frozenset({"user-assigned", "user-owns"})


@dataclass(frozen=True)
class Fact:
    """What a document says on one question: value, clause, our paraphrase, and whether the text was read."""

    value: str
    clause: str | None
    paraphrase: str
    verified: bool


@dataclass(frozen=True)
class StatedException:
    """A use that a bar leaves open in its own words."""

    text: str
    kind: str
    purposes: tuple[str, ...] = ()
    distribution: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """What a document says on training with outputs; `scope` is whom its bar reaches."""

    value: str
    clause: str | None
    paraphrase: str
    verified: bool
    scope: str | None
    bars_distillation: bool
    exceptions: tuple[StatedException, ...]
    modality_limits: Mapping[str, str]

    @property
    def text_value(self) -> str:
        """The value for text outputs, which may differ from the document's headline (images, web search)."""
        return self.modality_limits.get("text", self.value)


@dataclass(frozen=True)
class Condition:
    """What a document asks for in return; `attaches_to` says what sets it off, `details` are its thresholds and texts."""

    type: str
    clause: str | None
    paraphrase: str
    verified: bool
    attaches_to: str
    details: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Document:
    """One version of one provider's terms or licence; two are the same only if they are one object of one catalogue."""

    id: str
    provider: str
    title: str
    kind: str
    series: str
    route: str
    binds: str
    version: str | None
    effective_from: str | None
    effective_to: str | None
    period: Period
    access: tuple[str, ...]
    served_by: str
    models: tuple[str, ...]
    residents: Mapping[str, Any] | None
    spdx: str | None
    training: Training
    facts: Mapping[str, Fact]
    conditions: tuple[Condition, ...]
    source: Mapping[str, str]
    verified: bool
    evidence: str
    notes: str | None
    digest: str
    data: Mapping[str, Any]

    @property
    def ownership(self) -> Fact:
        """What the document says on who owns outputs."""
        return self.facts["output_ownership"]

    @property
    def makes_derivatives(self) -> bool:
        """Whether the text itself calls a model trained on outputs a derivative."""
        return self.facts["distilled_model_is_derivative"].value == "yes"

    def to_json(self) -> dict[str, Any]:
        """The whole document as the catalogue holds it, with its provider; `digest` is that of these values."""
        return {"provider": self.provider, **self.data}

    def summary(self) -> dict[str, Any]:
        """The document as a decision names it."""
        return {
            "id": self.id,
            "title": self.title,
            "version": self.version,
            "effective_from": self.effective_from,
            "effective_to": self.effective_to,
            "verified": self.verified,
            "provider": self.provider,
            "kind": self.kind,
            "binds": self.binds,
            "digest": self.digest,
        }


def parse_document(data: Mapping[str, Any], provider: str, digest: str) -> Document:
    """A document from its catalogue form, which has passed the schema."""
    facts = data["facts"]
    return Document(
        id=data["id"],
        provider=provider,
        title=data["title"],
        kind=data["kind"],
        series=data["series"],
        route=data["route"],
        binds=data["binds"],
        version=data["version"],
        effective_from=data["effective_from"],
        effective_to=data["effective_to"],
        period=parse_period(data["effective_from"], data["effective_to"]),
        access=tuple(data["access"]),
        served_by=data["served_by"],
        models=tuple(data["models"]),
        residents=data.get("residents"),
        spdx=data["spdx"],
        training=_parse_training(facts["train_on_outputs"]),
        facts={name: _parse_fact(fact) for name, fact in facts.items() if name != "train_on_outputs"},
        conditions=_parse_conditions(data["conditions"]),
        source=data["source"],
        verified=data["verified"],
        evidence=data["evidence"],
        notes=data.get("notes"),
        digest=digest,
        data=data,
    )


def _parse_fact(data: Mapping[str, Any]) -> Fact:
    return Fact(data["value"], data["clause"], data["paraphrase"], data["verified"])


def _parse_training(data: Mapping[str, Any]) -> Training:
    exceptions = tuple(
        StatedException(
            text=item["text"],
            kind=item["kind"],
            purposes=tuple(item.get("purposes", ())),
            distribution=tuple(item.get("distribution", ())),
            models=tuple(item.get("models", ())),
            licences=tuple(item.get("licences", ())),
        )
        for item in data["exceptions"]
    )
    return Training(
        value=data["value"],
        clause=data["clause"],
        paraphrase=data["paraphrase"],
        verified=data["verified"],
        scope=data["scope"],
        bars_distillation=data["bars_distillation"],
        exceptions=exceptions,
        modality_limits=data.get("modality_limits", {}),
    )


def _parse_conditions(items: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    fixed = {"type", "clause", "paraphrase", "verified", "attaches_to"}
    return tuple(
        Condition(
            type=item["type"],
            clause=item["clause"],
            paraphrase=item["paraphrase"],
            verified=item["verified"],
            attaches_to=item["attaches_to"],
            details={name: value for name, value in item.items() if name not in fixed},
        )
        for item in items
    )
