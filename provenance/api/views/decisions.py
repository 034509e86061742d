"""Pages about decisions: the answer as the contract gives it, typed, and "why blocked"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from provenance.api.views.common import Link, Page, Time


@dataclass(frozen=True)
class Condition:
    """A condition on the student: status met, unmet, unknown or not-triggered; `carried_by` are the models through which an
    inherited one came.
    """

    type: str
    requirement: str
    status: str
    document: str | None
    clause: str | None
    carried_by: str | None = None


@dataclass(frozen=True)
class Reason:
    """A rule that spoke: effect permit, review or deny; `facts` are the values that it read.

    `lifted_by` is the exception that set it aside, None where it stands.
    """

    rule: str
    effect: str
    document: str | None
    clause: str | None
    route: str
    text: str
    facts: Mapping[str, Any]
    lifted_by: str | None = None


@dataclass(frozen=True)
class BindingDocument:
    """A terms document that binds the sample on its day."""

    id: str
    title: str
    version: str | None
    effective_from: Time | None
    effective_to: Time | None
    verified: bool


@dataclass(frozen=True)
class Remedy:
    """One computed change and the verdict after it."""

    change: str
    text: str
    verdict_after: str
    samples: int | None = None
    tokens_share: float | None = None


@dataclass(frozen=True)
class Answer:
    """A decision's answer: `CONTRACT`'s JSON, typed for a page. `parse_answer` makes it."""

    verdict: str
    conditions: Sequence[Condition]
    reasons: Sequence[Reason]
    documents: Sequence[BindingDocument]
    unknown: Sequence[str]
    not_assessed: Sequence[str]
    remedies: Sequence[Remedy]
    policy_digest: str | None
    packs: Sequence[str]
    terms_digest: str | None
    log_size: int | None
    agreements: Sequence[str] = ()
    exceptions: Sequence[str] = ()

    def reasons_of(self, effect: str) -> list[Reason]:
        """The reasons with this effect that stand, in the answer's order."""
        return [reason for reason in self.reasons if reason.effect == effect and reason.lifted_by is None]

    @property
    def lifted(self) -> list[Reason]:
        """The reasons that exceptions set aside."""
        return [reason for reason in self.reasons if reason.lifted_by is not None]


@dataclass(frozen=True)
class SampleClass:
    """Samples of one teacher and route that the same rules judged alike, in `classes` fact classes (one a day, say).

    `rules` name what barred or held them back.
    """

    classes: int
    verdict: str
    samples: int
    tokens: int
    teacher: str
    route: str
    documents: Sequence[str]
    rules: Sequence[str]


@dataclass(frozen=True)
class VerdictCount:
    """How many samples, and where they were summed tokens, got one verdict."""

    verdict: str
    samples: int
    tokens: int | None = None


@dataclass(frozen=True)
class DecisionRow:
    """One decision of the list."""

    id: str
    subject: str
    student: str
    action: str
    verdict: str
    samples: int
    decided_at: Time


@dataclass(frozen=True)
class DecisionsPage(Page):
    """`/decisions`: what was decided, newest first."""

    template: ClassVar[str] = "decisions/list.html"
    section: ClassVar[str] = "Releases"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[DecisionRow]


@dataclass(frozen=True)
class DecisionPage(Page):
    """`/decisions/{id}`: why, and what would unblock. `subject` is what was judged: a release, dataset or sample."""

    template: ClassVar[str] = "decisions/show.html"
    section: ClassVar[str] = "Releases"
    rows_field: ClassVar[str | None] = "classes"

    id: str
    entry_index: int
    decided_at: Time
    action: str
    subject: Link
    student: str
    student_digest: str
    student_facts: Mapping[str, Any]
    answer: Answer
    counts: Sequence[VerdictCount]
    classes: Sequence[SampleClass]
    classes_left_out: int
    answer_digest: str


def parse_answer(answer: Mapping[str, Any]) -> Answer:
    """The contract's decision answer as a typed value; what it does not carry is empty."""
    policy = answer.get("policy") or {}
    return Answer(
        verdict=answer["verdict"],
        conditions=parse_conditions(answer.get("conditions", ())),
        reasons=[Reason(**_pick(Reason, item)) for item in answer.get("reasons", ())],
        documents=[BindingDocument(**_pick(BindingDocument, item)) for item in answer.get("documents", ())],
        unknown=list(answer.get("unknown", ())),
        not_assessed=list(answer.get("not_assessed", ())),
        remedies=[Remedy(**_pick(Remedy, item)) for item in answer.get("remedies", ())],
        policy_digest=policy.get("digest"),
        packs=[_name_pack(pack) for pack in policy.get("packs", ())],
        terms_digest=answer.get("terms_digest"),
        log_size=answer.get("log_size"),
        agreements=list(answer.get("agreements", ())),
        exceptions=list(answer.get("exceptions", ())),
    )


def parse_conditions(items: Sequence[Mapping[str, Any]]) -> list[Condition]:
    """Conditions as an answer, a release or a model carries them."""
    return [Condition(**_pick(Condition, item)) for item in items]


def _pick(of: type[Condition | Reason | BindingDocument | Remedy], item: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the value declares; the contract may add others. A missing optional one is None or empty."""
    picked = {declared.name: item.get(declared.name) for declared in fields(of)}
    if "facts" in picked:
        picked["facts"] = picked["facts"] or {}
    return picked


def _name_pack(pack: Any) -> str:
    return str(pack["name"]) if isinstance(pack, Mapping) else str(pack)
