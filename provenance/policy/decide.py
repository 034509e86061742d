"""May this student learn from this sample, or from these samples: the answers that the contract describes.

`decide` answers a what-if on one sample, `decide_classes` a question on many: each fact class once, then the whole,
with what leaving classes out would give. Pure and deterministic: the same facts, catalogue and pack give the same
answer to the byte.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from provenance.errors import FieldError, MalformedError
from provenance.lineage.inherited import NOTHING, Inheritance
from provenance.policy.answer import format_answer
from provenance.policy.exception import PolicyException, list_covering
from provenance.policy.inputs import validate_action, validate_agreement, validate_sample_facts, validate_student
from provenance.policy.judge import Outcome, hold_back, judge
from provenance.policy.pack import Pack
from provenance.policy.unblock import Again, Change, Judge, find_drops, find_remedies
from provenance.policy.verdict import PERMITTING, VERDICTS, Verdict, strictest
from provenance.policy.versions import other_versions
from provenance.terms.catalogue import Catalogue
from provenance.terms.days import parse_day
from provenance.terms.resolve import known


def decide(
    sample: Mapping[str, Any],
    student: Mapping[str, Any],
    *,
    action: str = "train",
    at: dt.date | str | None = None,
    terms_of: dt.date | None = None,
    agreements: Sequence[Mapping[str, Any]] = (),
    exceptions: Sequence[PolicyException] = (),
    inheritance: Inheritance = NOTHING,
    catalogue: Catalogue,
    pack: Pack,
    today: dt.date | None = None,
    log_size: int | None = None,
    remedies: bool = True,
) -> dict[str, Any]:
    """The answer to a what-if, in the contract's shape.

    Args:
        at: the day for which is decided; agreements must be valid on it, and without it no exception lifts anything. The
            terms stay those of the sample's day.
        terms_of: judge by the terms of this day instead; the sample is taken as if it had been made, or its copy got, then.
        inheritance: what the sample carries beside the terms of its own day (`lineage.inherit`).
        exceptions: those on record. One that is scoped to fact classes lifts nothing here: a sample of a what-if is in none.
        today: with it (or else `at`), a sample from the future is refused; nothing here reads a clock.
    Raises:
        MalformedError: a fact is misspelt, mistyped or in the future; its `errors` name each.
    """
    day = parse_at(at)
    validate_action(action)
    validate_sample_facts(sample, today=today or day)
    _validate_parties(student, agreements)

    def judge_one(changed: Mapping[str, Any], extra: Sequence[Mapping[str, Any]]) -> Outcome:
        offered = [*agreements, *extra]
        covering = list_covering(exceptions, sample, changed, action, dataset=known(sample.get("dataset")), day=day)
        return judge(
            sample,
            changed,
            action,
            at=day,
            terms_of=terms_of,
            agreements=offered,
            exceptions=covering,
            inheritance=inheritance,
            catalogue=catalogue,
            pack=pack,
        )

    def again(changed: Mapping[str, Any], extra: Sequence[Mapping[str, Any]]) -> Judge:
        found = judge_one(changed, extra)
        return Judge(found.verdict, found.left)

    def versions() -> Iterator[tuple[Change, Judge]]:
        for version in other_versions(sample, catalogue):
            found = judge(
                version.sample, student, action, at=day, agreements=agreements, inheritance=inheritance,
                catalogue=catalogue, pack=pack,
            )  # fmt: skip
            yield Change(version.change, version.text), Judge(found.verdict, found.left)

    outcome = judge_one(student, ())
    offered = find_remedies(sample, student, action, outcome, again, at=day, versions=versions()) if remedies else []
    return format_answer(
        outcome, sample, offered, inheritance=inheritance, catalogue=catalogue, pack=pack, log_size=log_size
    )


@dataclass(frozen=True)
class ClassAnswer:
    """One fact class with its weight and its own answer."""

    digest: str
    facts: Mapping[str, Any]
    samples: int
    tokens: int
    answer: Mapping[str, Any]

    @property
    def verdict(self) -> Verdict:
        """The verdict of the class."""
        found: Verdict = self.answer["verdict"]
        return found


@dataclass(frozen=True)
class ReleaseDecision:
    """The decision over all classes: `verdict` is the strictest, `answer` has the contract's shape."""

    verdict: Verdict
    classes: tuple[ClassAnswer, ...]
    answer: Mapping[str, Any]

    @property
    def allowed(self) -> list[str]:
        """The digests of the classes that are permitted."""
        return [item.digest for item in self.classes if item.verdict in PERMITTING]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Classes, samples and tokens by verdict; every verdict is listed."""
        found: dict[str, dict[str, int]] = {}
        for verdict in VERDICTS:
            held = [item for item in self.classes if item.verdict == verdict]
            weights = {"samples": sum(c.samples for c in held), "tokens": sum(c.tokens for c in held)}
            found[verdict] = {"classes": len(held), **weights}
        return found


def decide_classes(
    classes: Sequence[tuple[str, Mapping[str, Any], int, int]],
    student: Mapping[str, Any],
    action: str = "train",
    *,
    at: dt.date | str | None = None,
    terms_of: dt.date | None = None,
    agreements: Sequence[Mapping[str, Any]] = (),
    exceptions: Sequence[PolicyException] = (),
    dataset: str | None = None,
    catalogue: Catalogue,
    pack: Pack,
    log_size: int | None = None,
    recalls: Mapping[str, str] = MappingProxyType({}),
    inheritance: Mapping[str, Inheritance] = MappingProxyType({}),
    remedies: bool = True,
) -> ReleaseDecision:
    """Decide over fact classes `(digest, facts, samples, tokens)` of `dataset`; no class at all is `review`.

    `inheritance` says what a class carries beside the terms of its own day, by its digest. `recalls` says which recall
    holds a class back, by its digest: whatever the rules say of it, the verdict is `deny`.
    """
    day = parse_at(at)
    validate_action(action)
    _validate_parties(student, agreements)
    for _, facts, _, _ in classes:
        validate_sample_facts(facts)

    def judge_class(
        digest: str, facts: Mapping[str, Any], changed: Mapping[str, Any], extra: Sequence[Mapping[str, Any]]
    ) -> Outcome:
        offered = [*agreements, *extra]
        covering = list_covering(exceptions, facts, changed, action, dataset=dataset, fact_class=digest, day=day)
        outcome = judge(
            facts,
            changed,
            action,
            at=day,
            terms_of=terms_of,
            agreements=offered,
            exceptions=covering,
            inheritance=inheritance.get(digest, NOTHING),
            catalogue=catalogue,
            pack=pack,
        )
        return hold_back(outcome, recalls[digest]) if digest in recalls else outcome

    outcomes = [judge_class(digest, facts, student, ()) for digest, facts, _, _ in classes]
    whole = _whole(outcomes)
    worst_first = sorted(zip(classes, outcomes, strict=True), key=lambda pair: -VERDICTS.index(pair[1].verdict))

    def again(changed: Mapping[str, Any], extra: Sequence[Mapping[str, Any]]) -> Judge:
        left = 0
        verdict: Verdict = "allow"
        for (digest, facts, _, _), _ in worst_first:
            found = judge_class(digest, facts, changed, extra)
            left, verdict = left + found.left, strictest((verdict, found.verdict))
            if verdict not in PERMITTING and VERDICTS.index(verdict) >= VERDICTS.index(whole.verdict):
                break  # no better than now: the other classes cannot make it so
        return Judge(verdict, left)

    asked: dict[str, list[dict[str, Any]]] = {}

    def own(digest: str, facts: Mapping[str, Any], outcome: Outcome) -> list[dict[str, Any]]:
        """What would unblock one class, or meet its conditions; classes that are alike are asked once."""
        if not remedies or (outcome.verdict in PERMITTING and not outcome.left):
            return []
        alike = repr((outcome.verdict, outcome.reasons, outcome.conditions))
        if alike not in asked:

            def retry(changed: Mapping[str, Any], extra: Sequence[Mapping[str, Any]]) -> Judge:
                found = judge_class(digest, facts, changed, extra)
                return Judge(found.verdict, found.left)

            asked[alike] = find_remedies(facts, student, action, outcome, retry, at=day)
        return asked[alike]

    answers = tuple(
        ClassAnswer(
            digest,
            facts,
            samples,
            tokens,
            format_answer(
                outcome,
                facts,
                own(digest, facts, outcome),
                inheritance=inheritance.get(digest, NOTHING),
                catalogue=catalogue,
                pack=pack,
                log_size=log_size,
            ),
        )
        for (digest, facts, samples, tokens), outcome in zip(classes, outcomes, strict=True)
    )
    offered = _remedies(answers, student, action, whole, again=again, day=day) if remedies and answers else []
    facts = answers[0].facts if answers else {}
    answer = format_answer(whole, facts, offered, catalogue=catalogue, pack=pack, log_size=log_size)
    return ReleaseDecision(whole.verdict, answers, answer)


def _remedies(
    answers: Sequence[ClassAnswer],
    student: Mapping[str, Any],
    action: str,
    whole: Outcome,
    *,
    again: Again,
    day: dt.date | None,
) -> list[dict[str, Any]]:
    """Leaving classes out first: it changes neither the student nor the terms."""
    blocked = next((item.facts for item in answers if item.verdict not in PERMITTING), answers[0].facts)
    drops = find_drops([(c.digest, c.facts, c.samples, c.tokens, c.verdict) for c in answers])
    return [*drops, *find_remedies(blocked, student, action, whole, again, at=day)]


def _whole(outcomes: Sequence[Outcome]) -> Outcome:
    """All classes as one outcome: the strictest verdict, everything that was said, each thing once."""
    whole = Outcome(strictest(outcome.verdict for outcome in outcomes))
    seen: set[str] = set()
    for outcome in outcomes:
        for target, items in (
            (whole.conditions, outcome.conditions),
            (whole.reasons, outcome.reasons),
            (whole.unknown, outcome.unknown),
            (whole.agreements, outcome.agreements),
            (whole.exceptions, outcome.exceptions),
            (whole.approvals, outcome.approvals),
        ):
            fresh = [item for item in items if repr(item) not in seen]
            seen.update(repr(item) for item in fresh)
            target.extend(fresh)  # type: ignore[arg-type]  # each list meets its own kind
        whole.documents.extend(document for document in outcome.documents if document not in whole.documents)
    return whole


def _validate_parties(student: Mapping[str, Any], agreements: Sequence[Mapping[str, Any]]) -> None:
    validate_student(student)
    for agreement in agreements:
        validate_agreement(agreement)


def parse_at(at: dt.date | str | None) -> dt.date | None:
    """The day that a question is asked for, however it was written.

    Raises:
        MalformedError: it is no day.
    """
    if isinstance(at, str):
        try:
            return parse_day(at)
        except MalformedError as exc:
            raise MalformedError(f"at: {exc.detail}", FieldError("at", str(at), "a day, or an RFC 3339 time")) from exc
    return at.date() if isinstance(at, dt.datetime) else at
