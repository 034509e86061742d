"""Ask the policies about the samples of a dataset: by fact class, at a log size, for one student and one action.

`ask_gate` reads and judges; `decision_predicate` makes of the answer what the log will hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import FieldError, MalformedError
from provenance.lineage.inherit import inherit_classes
from provenance.policy.decide import ClassAnswer, ReleaseDecision, decide_classes
from provenance.policy.held import find_held
from provenance.policy.lifts import Lifts, load_lifts
from provenance.policy.pack import Pack
from provenance.store.index import CLASS_PREFIX
from provenance.store.samples import ClassCount, count_classes
from provenance.terms.catalogue import Catalogue

MAX_CLASSES = 1000  # what fits into one entry of 64 KiB
RELEASABLE = frozenset({"allow", "allow-with-conditions"})


@dataclass(frozen=True)
class Question:
    """What is asked: may `student` (its declared facts) do `action` with these samples of `dataset`?"""

    dataset: str
    selection: Mapping[str, str]
    student_id: str
    student: Mapping[str, Any]
    student_digest: str
    action: str
    log_size: int


@dataclass(frozen=True)
class GateAnswer:
    """What the policies said: of each class, and of all of them together."""

    question: Question
    counts: Sequence[ClassCount]
    classes: Sequence[ClassAnswer]
    answer: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """The strictest verdict of all classes."""
        return str(self.answer["verdict"])

    @property
    def releasable(self) -> list[int]:
        """Ids of the fact classes whose samples may go out."""
        return [count.id for count, item in zip(self.counts, self.classes, strict=True) if item.verdict in RELEASABLE]

    def content(self) -> dict[str, Any]:
        """The whole answer, as it is kept beside the log; the decision entry commits to its digest."""
        classes = [
            {
                "fact_class": item.digest,
                "facts": dict(item.facts),
                "samples": item.samples,
                "tokens": item.tokens,
                "answer": dict(item.answer),
            }
            for item in self.classes
        ]
        return {"answer": dict(self.answer), "classes": classes}


def ask_gate(
    session: Session,
    question: Question,
    *,
    catalogue: Catalogue,
    pack: Pack,
    now: datetime,
) -> GateAnswer:
    """Judge every fact class of the selection, with the agreements and exceptions that the log holds.

    Raises:
        NotFoundError: there is no such dataset.
        MalformedError: the selection holds no sample, or too many classes for one decision.
    """
    counts = select_classes(session, question.dataset, question.selection, question.log_size)
    decided = decide_recorded(
        session,
        [(count.digest, count.facts, count.samples, count.tokens) for count in counts],
        question.student,
        question.action,
        dataset=question.dataset,
        log_size=question.log_size,
        held=load_lifts(session, now.date(), log_size=question.log_size),
        at=now.date(),
        catalogue=catalogue,
        pack=pack,
    )
    return GateAnswer(question, counts, decided.classes, decided.answer)


def decide_recorded(
    session: Session,
    classes: Sequence[tuple[str, Mapping[str, Any], int, int]],
    student: Mapping[str, Any],
    action: str,
    *,
    dataset: str,
    log_size: int,
    held: Lifts,
    at: date,
    catalogue: Catalogue,
    pack: Pack,
    remedies: bool = True,
) -> ReleaseDecision:
    """Decide over recorded classes with all that the log says of them: what lifts a rule, what they inherit below
    `log_size`, and what a recall holds back now.
    """
    digests = [digest for digest, *_ in classes]
    return decide_classes(
        classes,
        student,
        action,
        at=at,
        agreements=held.agreements,
        exceptions=held.exceptions,
        dataset=dataset,
        catalogue=catalogue,
        pack=pack,
        log_size=log_size,
        recalls=find_held(session, dataset, digests, log_size, catalogue),
        inheritance=inherit_classes(session, dataset, digests, log_size, catalogue),
        remedies=remedies,
    )


def select_classes(session: Session, dataset: str, selection: Mapping[str, str], log_size: int) -> Sequence[ClassCount]:
    """The fact classes that a question is about.

    Raises:
        NotFoundError: there is no such dataset.
        MalformedError: the selection holds no sample, or too many classes for one decision.
    """
    counts = count_classes(session, dataset, selection, log_size)
    if not counts:
        raise MalformedError(
            f"the selection holds no sample of dataset {dataset!r}",
            FieldError("selection", dict(selection), "at least one sample"),
        )
    if len(counts) > MAX_CLASSES:
        expected = f"at most {MAX_CLASSES} fact classes; narrow the selection by teacher, route or evidence"
        raise MalformedError(
            f"the selection holds {len(counts)} fact classes", FieldError("selection", len(counts), expected)
        )
    return counts


def decision_predicate(
    identifier: str, gate: GateAnswer, *, pack: Pack, catalogue: Catalogue, decided_at: str
) -> dict[str, Any]:
    """The predicate of the decision entry; `answer_digest` commits to `GateAnswer.content`."""
    question = gate.question
    return {
        "id": identifier,
        "action": question.action,
        "student": {"id": question.student_id, "digest": question.student_digest},
        "selection": {"dataset": question.dataset, "filter": dict(question.selection)},
        "log_size": question.log_size,
        "decided_at": decided_at,
        "policy": {"digest": pack.digest, "packs": sorted(pack.packs)},
        "terms_digest": catalogue.digest,
        "verdict": gate.verdict,
        "counts": {
            "samples": sum(count.samples for count in gate.counts),
            "tokens": sum(count.tokens for count in gate.counts),
        },
        "classes": [
            [item.digest[:CLASS_PREFIX], item.verdict, count.samples, count.tokens]
            for count, item in zip(gate.counts, gate.classes, strict=True)
        ],
        "agreements": list(gate.answer.get("agreements", ())),
        "exceptions": list(gate.answer.get("exceptions", ())),
        "approval": [rule["id"] for rule in gate.answer.get("approval", ())],
        "answer_digest": sha256_digest(canonical_bytes(gate.content())),
    }
