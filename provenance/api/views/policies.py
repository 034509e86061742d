"""The page about policies: the packs that decide, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Page


@dataclass(frozen=True)
class Rule:
    """One rule: effect permit, review or deny; `source` is the rule's own text."""

    id: str
    effect: str
    text: str
    source: str


@dataclass(frozen=True)
class Pack:
    """A file of rules with the digest that decisions name."""

    name: str
    digest: str
    rules: Sequence[Rule]


@dataclass(frozen=True)
class PoliciesPage(Page):
    """`/policies`: what is the rule. `digest` is of all packs together; `cases` counts the examples that tests hold them to."""

    template: ClassVar[str] = "policies/list.html"
    section: ClassVar[str] = "Policies"
    rows_field: ClassVar[str | None] = "packs"

    digest: str
    packs: Sequence[Pack]
    cases: int
    entry_index: int | None
