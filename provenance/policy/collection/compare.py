"""Our answer beside upstream's use class, data set by data set, and each kind of difference in words with its counts.

- A data set that a model generated is judged by the rules; ours is the verdict for a plain commercial student.
- Any other is no teacher output: the rules have no question to answer, so only the class of its licences is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.capture.collection.facts import DatasetFacts
from provenance.capture.collection.names import strictest_use
from provenance.policy.collection.judge import STUDENTS, CollectionJudge, TeacherVerdict, overall
from provenance.policy.collection.upstream import NOT_COMPUTED, UpstreamClasses
from provenance.policy.verdict import PERMITTING

SAME = "same"
KINDS: Mapping[str, str] = {
    SAME: "Both say the same: our verdict or class permits what theirs permits, and no more.",
    "contract-counted-as-licence": "A model's provider bound whoever made the data set, by contract. Upstream counts those "
    "terms as a licence that forbids commercial use; to us they are somebody else's contract about competing models: review.",
    "contract-not-counted": "A model's provider bound whoever made the data set, by contract, and upstream's list of licences "
    "does not name it: upstream goes by the data set's own licence, we hold it for review.",
    "generator-unknown": "The generator is not a model that we know (“Other”, a name outside the alias table, or a provider "
    "without a model): nothing can be said about its terms, so review.",
    "generator-without-terms": "The generator is known by name, but no licence or terms of it for the time of generation are on "
    "record here: review. Upstream does not look at the generator, only at the listed licences.",
    "generator-licence-bars": "The licence of the generator's weights follows what was made with them and bars this use; "
    "upstream reads only the licence of the data set.",
    "terms-partly-on-record": "The generator's terms are on record only for a part of the time in which the data set can have "
    "been generated; for the rest nobody here has the words: review.",
    "data-set-licence-restricts": "The data set's own licence restricts a commercial student, whatever the "
    "generator's terms say.",
    "data-set-licence-open": "The licence of the data set itself is not known, or is one that the rules cannot read as open: "
    "review, whatever the generator's terms say.",
    "days-differ": "Within the time in which it can have been generated, documents with different answers held: review.",
    "day-unknown": "No date bounds when it was generated, so every version of the terms had to be considered: review.",
    "licence-unread": "A listed licence is a name without words we have read (Custom, Various, Request Form, No License, or "
    "one outside our table): unspecified to us; upstream gave it a class.",
    "read-differently": "The same licence is put in another class by us than by upstream.",
    "sources-differ": "Another source (Hugging Face, GitHub, Papers with Code) names a stricter licence than the listed ones; "
    "the strictest counts for us, upstream reads only its own list.",
    "parent-inherits": "A data set that it derives from has a stricter licence, and takes part in it; upstream does not look "
    "at parents.",
    "parent-open": "It derives from data sets of which no licence is known here, so a licence of its own does not show that "
    "commercial use is free; upstream does not look at parents.",
}  # fmt: skip
_RULE_KINDS = (
    ("generator-licence-bars", ("competition.any-other-model", "competition.competing-model", "competition.distillation",
                                "terms.use-limit")),
    ("data-set-licence-restricts", ("ownership.data-set-licence-restricts",)),
    ("data-set-licence-open", ("ownership.data-set-licence-open",)),
)  # fmt: skip
CONTRACT = "terms.contract-of-another"
NOTHING_ON_RECORD = "terms.nothing-on-record"


@dataclass(frozen=True)
class Comparison:
    """One data set: ours (verdict or class), upstream's class, the kinds of difference, and why."""

    id: str
    teacher_output: bool
    ours: str
    upstream: str
    kinds: tuple[str, ...]
    verdicts: Mapping[str, str]
    teachers: Mapping[str, tuple[TeacherVerdict, ...]]


def compare(facts: Iterable[DatasetFacts], classes: UpstreamClasses | None, judge: CollectionJudge) -> list[Comparison]:
    """Every data set compared, in the order given; without upstream's classes only our side is filled."""
    return [
        _compare_output(item, classes, judge) if item.is_teacher_output else _compare_class(item, classes)
        for item in facts
    ]


def _compare_output(item: DatasetFacts, classes: UpstreamClasses | None, judge: CollectionJudge) -> Comparison:
    upstream = classes.of(item.summary) if classes else NOT_COMPUTED
    teachers = {student: tuple(judge.judge(item, student)) for student in STUDENTS}
    verdicts = {student: overall(found) for student, found in teachers.items()}
    ours = verdicts["commercial"]
    same = {"commercial": ours in PERMITTING, "unspecified": ours == "review"}.get(upstream, ours == "deny")
    kinds = (SAME,) if same else _kinds_of_output(item, teachers["commercial"])
    return Comparison(item.id, True, ours, upstream, _shown(kinds, upstream), verdicts, teachers)


def _kinds_of_output(item: DatasetFacts, teachers: Sequence[TeacherVerdict]) -> tuple[str, ...]:
    rules = {reason["rule"] for verdict in teachers for reason in verdict.reasons}
    kinds: dict[str, None] = {}
    if CONTRACT in rules:
        kinds["contract-counted-as-licence" if item.licenses.provider_terms else "contract-not-counted"] = None
    for verdict in teachers:
        kinds |= dict.fromkeys(_kinds_of_teacher(verdict))
    kinds |= dict.fromkeys(kind for kind, names in _RULE_KINDS if rules.intersection(names))
    return tuple(kinds or {"read-differently": None})


def _kinds_of_teacher(verdict: TeacherVerdict) -> list[str]:
    if not (verdict.teacher.provider and verdict.teacher.model):
        return ["generator-unknown"]
    kinds = []
    if not_on_record := [reason for reason in verdict.reasons if reason["rule"] == NOTHING_ON_RECORD]:
        everywhere = len(not_on_record[0]["days"]) >= len(verdict.days)
        kinds.append("generator-without-terms" if everywhere else "terms-partly-on-record")
    if len(verdict.by_verdict) > 1:
        kinds.append("days-differ")
    if not verdict.days:
        kinds.append("day-unknown")
    return kinds


def _compare_class(item: DatasetFacts, classes: UpstreamClasses | None) -> Comparison:
    upstream = classes.of(item.summary) if classes else NOT_COMPUTED
    kinds = (SAME,) if item.use == upstream else _kinds_of_class(item, upstream)
    return Comparison(item.id, False, item.use, upstream, _shown(kinds, upstream), {}, {})


def _kinds_of_class(item: DatasetFacts, upstream: str) -> tuple[str, ...]:
    licenses, kinds = item.licenses, []
    if licenses.own_use != upstream:
        unread = any(named.use == "unspecified" for named in licenses.named if named.source == "self-reported")
        kinds.append("licence-unread" if unread else "read-differently")
    if licenses.use != licenses.own_use:
        kinds.append("sources-differ")
    if item.stricter_ancestors and strictest_use([licenses.use, item.use]) != licenses.use:
        kinds.append("parent-inherits")
    if item.parents_open and licenses.use == "commercial":
        kinds.append("parent-open")
    return tuple(kinds)


def _shown(kinds: tuple[str, ...], upstream: str) -> tuple[str, ...]:
    return () if upstream == NOT_COMPUTED else kinds


def count_kinds(compared: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Each kind of difference with its words, its data sets, and what they got from either side; the most frequent first.

    A data set counts under every kind that holds for it; `alone` counts those of which it is the only one.
    """
    rows = []
    for kind, words in KINDS.items():
        held = [item for item in compared if kind in item.kinds]
        if held:
            rows.append(
                {
                    "kind": kind,
                    "words": words,
                    "datasets": len(held),
                    "alone": sum(len(item.kinds) == 1 for item in held),
                    "teacher_outputs": sum(item.teacher_output for item in held),
                    "upstream": dict(Counter(item.upstream for item in held).most_common()),
                    "ours": dict(Counter(item.ours for item in held).most_common()),
                }
            )
    return sorted(rows, key=lambda row: (row["kind"] != SAME, -row["datasets"]))


def cross_table(compared: Sequence[Comparison]) -> list[dict[str, Any]]:
    """How many data sets got which answer from us and which class from upstream, teacher outputs apart."""
    counts = Counter((item.teacher_output, item.ours, item.upstream) for item in compared)
    return [
        {"teacher_output": output, "ours": ours, "upstream": upstream, "datasets": number}
        for (output, ours, upstream), number in sorted(counts.items(), key=lambda pair: (-pair[0][0], -pair[1]))
    ]
