"""Past decisions asked again under other rules or other terms: which verdicts flip, and how much they weigh.

A changed pack is replayed before somebody other than its author approves it; changed terms are replayed to see whom
they reach. Nothing is stored here, and no past decision is altered.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.policy.decide import decide_classes
from provenance.policy.pack import Pack
from provenance.policy.verdict import VERDICTS, Verdict
from provenance.terms.catalogue import Catalogue


@dataclass(frozen=True)
class PastDecision:
    """What was asked and answered: classes are `(digest, facts, samples, tokens, verdict)`."""

    id: str
    action: str
    student: Mapping[str, Any]
    classes: Sequence[tuple[str, Mapping[str, Any], int, int, Verdict]]
    agreements: Sequence[Mapping[str, Any]] = ()
    at: dt.date | None = None


@dataclass(frozen=True)
class Flip:
    """One fact class of one decision whose verdict is another now; `rules` are those that speak now."""

    decision: str
    fact_class: str
    before: Verdict
    after: Verdict
    samples: int
    tokens: int
    rules: tuple[str, ...]

    @property
    def stricter(self) -> bool:
        """Whether less is permitted than before."""
        return VERDICTS.index(self.after) > VERDICTS.index(self.before)


def replay_decisions(past: Iterable[PastDecision], *, catalogue: Catalogue, pack: Pack) -> list[Flip]:
    """Every flip, in the order of the decisions and their classes."""
    return [flip for decision in past for flip in _replay(decision, catalogue, pack)]


def _replay(past: PastDecision, catalogue: Catalogue, pack: Pack) -> list[Flip]:
    asked = [(digest, facts, samples, tokens) for digest, facts, samples, tokens, _ in past.classes]
    decided = decide_classes(
        asked,
        past.student,
        past.action,
        at=past.at,
        agreements=past.agreements,
        catalogue=catalogue,
        pack=pack,
        remedies=False,
    )
    flips = []
    for (digest, _, samples, tokens, before), now in zip(past.classes, decided.classes, strict=True):
        if now.verdict != before:
            rules = tuple(sorted({reason["rule"] for reason in now.answer["reasons"]}))
            flips.append(Flip(past.id, digest, before, now.verdict, samples, tokens, rules))
    return flips


def count_flips(flips: Iterable[Flip]) -> dict[str, dict[str, int]]:
    """Classes, samples and tokens by `before -> after`."""
    counts: dict[str, dict[str, int]] = {}
    for flip in flips:
        held = counts.setdefault(f"{flip.before} -> {flip.after}", {"classes": 0, "samples": 0, "tokens": 0})
        held["classes"] += 1
        held["samples"] += flip.samples
        held["tokens"] += flip.tokens
    return counts
