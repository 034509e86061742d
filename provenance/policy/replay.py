"""Past decisions asked again under other rules or other terms: which verdicts flip, and how much they weigh.

A changed pack is replayed before somebody other than its author approves it; changed terms are replayed to see whom
they reach. Nothing is stored here, and no past decision is altered. `policy/past.py` reads the past decisions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.lineage.inherited import Inheritance
from provenance.policy.decide import ReleaseDecision, decide_classes
from provenance.policy.exception import PolicyException
from provenance.policy.pack import Pack
from provenance.policy.verdict import VERDICTS, Verdict
from provenance.terms.catalogue import Catalogue

Inherit = Callable[[Catalogue, dt.date | None], Mapping[str, Inheritance]]


@dataclass(frozen=True)
class PastDecision:
    """What was asked and answered: classes are `(digest, facts, samples, tokens, verdict)`.

    `inherit` tells what they inherited at the log size of the decision, by a catalogue and the terms of a day (None: of theirs).
    """

    id: str
    action: str
    student: Mapping[str, Any]
    classes: Sequence[tuple[str, Mapping[str, Any], int, int, Verdict]]
    agreements: Sequence[Mapping[str, Any]] = ()
    exceptions: Sequence[PolicyException] = ()
    at: dt.date | None = None
    entry: int = 0
    dataset: str = ""
    student_id: str = ""
    inherit: Inherit = lambda _, __: {}


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
    teacher: str = ""
    dataset: str = ""
    student: str = ""
    action: str = ""

    @property
    def stricter(self) -> bool:
        """Whether less is permitted than before."""
        return VERDICTS.index(self.after) > VERDICTS.index(self.before)


def replay_decisions(past: Iterable[PastDecision], *, catalogue: Catalogue, pack: Pack) -> list[Flip]:
    """Every flip, in the order of the decisions and their classes."""
    return [flip for decision in past for flip in replay_decision(decision, catalogue=catalogue, pack=pack)]


def replay_decision(past: PastDecision, *, catalogue: Catalogue, pack: Pack) -> list[Flip]:
    """The flips of one decision, from what it answered."""
    now = judge_again(past, catalogue=catalogue, pack=pack)
    return find_flips(past, [verdict for *_, verdict in past.classes], now)


def judge_again(
    past: PastDecision, *, catalogue: Catalogue, pack: Pack, terms_of: dt.date | None = None
) -> ReleaseDecision:
    """What the same question is answered under this catalogue and pack, without remedies."""
    return decide_classes(
        [(digest, facts, samples, tokens) for digest, facts, samples, tokens, _ in past.classes],
        past.student,
        past.action,
        at=past.at,
        terms_of=terms_of,
        agreements=past.agreements,
        exceptions=past.exceptions,
        dataset=past.dataset or None,
        inheritance=past.inherit(catalogue, terms_of),
        catalogue=catalogue,
        pack=pack,
        remedies=False,
    )


def find_flips(past: PastDecision, before: Sequence[Verdict], now: ReleaseDecision) -> list[Flip]:
    """The classes whose verdict is another than `before`, which stands in the order of the classes."""
    return [
        Flip(
            decision=past.id,
            fact_class=item.digest,
            before=verdict,
            after=item.verdict,
            samples=item.samples,
            tokens=item.tokens,
            rules=tuple(sorted({reason["rule"] for reason in item.answer["reasons"]})),
            teacher=_teacher(item.facts),
            dataset=past.dataset,
            student=past.student_id,
            action=past.action,
        )
        for verdict, item in zip(before, now.classes, strict=True)
        if item.verdict != verdict
    ]


def _teacher(facts: Mapping[str, Any]) -> str:
    teacher = facts["teacher"]
    return f"{teacher.get('provider')}/{teacher.get('model')}"


def count_flips(flips: Iterable[Flip]) -> dict[str, dict[str, int]]:
    """Classes, samples and tokens by `before -> after`."""
    counts: dict[str, dict[str, int]] = {}
    for flip in flips:
        held = counts.setdefault(f"{flip.before} -> {flip.after}", {"classes": 0, "samples": 0, "tokens": 0})
        held["classes"] += 1
        held["samples"] += flip.samples
        held["tokens"] += flip.tokens
    return counts
