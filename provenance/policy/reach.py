"""How far a document's words on training reach one student: does it permit, does it bar, or is it open.

- A bar on competing models needs `competes_with`; one on any model needs nothing; stated exceptions are read first.
- "Not barred" is not "permitted": a text that assigns outputs and bars competing use alone does permit the rest,
  every other text that merely does not bar is left open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from provenance.policy.student import Student
from provenance.policy.verdict import Finding
from provenance.terms.document import ASSIGNING, BARRING, PERMITTING, Document, StatedException
from provenance.terms.match import matches

GENERAL_PURPOSES = frozenset({"general-assistant", "reasoning", "code-assistant", "agent"})

Stance = Literal[
    "permits-stated",
    "permits-exception",
    "permits-ownership",
    "permission-unverified",
    "no-permission",
    "bars-competing",
    "bars-any-model",
    "bars-distillation",
    "bar-unverified",
    "bar-unclear",
]
HITS = frozenset({"bars-competing", "bars-any-model", "bars-distillation", "bar-unverified"})
LEAVES_OPEN = frozenset({"permits-stated", "permits-exception", "permits-ownership", "permission-unverified"})


@dataclass(frozen=True)
class Reading:
    """What one document says to one student; `spares` marks a bar that does not reach it."""

    document: Document
    stance: Stance
    finding: Finding
    spares: bool = False
    by_family: bool = False


@dataclass(frozen=True)
class _Answer:
    """True, False, or None for "cannot be said", with the facts that would tell."""

    value: bool | None
    needs: tuple[str, ...] = ()


def read_document(document: Document, student: Student) -> Reading:
    """The stance of a document towards training this student on text outputs."""
    training = document.training
    value = training.text_value
    images = student.purpose in (None, "image-generation") and training.modality_limits.get("image") in BARRING
    competes = _competes(document, student)
    if images and student.purpose and competes.value is not False:
        # A limit on images adds to what the text says of text outputs, it does not stand in its place.
        return _read_bar(document, student)
    if value in BARRING:
        return _read_bar(document, student)
    if value not in PERMITTING:
        wording = "says nothing on training with outputs" if value == "silent" else "was not read on this question"
        needs = ("purpose", *competes.needs) if images and competes.value is not False else ()
        return _reading(document, "no-permission", f"{document.title} {wording}", needs=needs)
    if training.scope == "competing":
        if competes.value is None:
            return _reading(document, "bar-unclear", "permits models that do not compete only", needs=competes.needs)
        if competes.value:
            return _reading(document, "bars-competing", "permits models that do not compete only", student=student)
    if not training.verified:
        return _reading(document, "permission-unverified", "a permission is reported, but the text itself was not read")
    return _reading(document, "permits-stated", training.paraphrase)


def is_built_on(document: Document, student: Student) -> bool | None:
    """Whether the student starts from what a licence is about, so that it has more of it than outputs."""
    if document.route != "licence":
        return False
    return (
        None
        if student.base_model is None
        else bool(student.base_model and matches(document.models, student.base_model))
    )


def _read_bar(document: Document, student: Student) -> Reading:
    training = document.training
    exception, stated = _any_exception(document, student)
    if exception.value and stated is not None:
        stance: Stance = "permits-exception" if training.verified else "permission-unverified"
        text = f"the bar leaves this open: {stated.text}"
        return _reading(document, stance, text, student=student, by_family=stated.kind == "own-family", spares=True)
    reaches = _reaches(document, student)
    if reaches.value is False:
        return _read_spared(document, student)
    if reaches.value is None or exception.value is None:
        needs = tuple(dict.fromkeys((*reaches.needs, *exception.needs)))
        return _reading(document, "bar-unclear", training.paraphrase, student=student, needs=needs)
    if not training.verified:
        return _reading(document, "bar-unverified", training.paraphrase, student=student)
    return _reading(document, _kind_of_bar(document, student), training.paraphrase, student=student)


def _read_spared(document: Document, student: Student) -> Reading:
    """A bar on competing use that does not reach this student: permitted only by a verified grant of the outputs."""
    ownership = document.ownership
    if ownership.value in ASSIGNING and ownership.verified and document.training.verified:
        text = f"outputs are the customer's ({ownership.paraphrase}), and only competing use is barred"
        clause = ", ".join(c for c in (ownership.clause, document.training.clause) if c)
        return _reading(document, "permits-ownership", text, student=student, clause=clause, spares=True)
    text = "bars competing use only, which this is not; but gives no explicit permission that was read"
    return _reading(document, "no-permission", text, student=student, spares=True)


def _kind_of_bar(document: Document, student: Student) -> Stance:
    if document.training.scope in ("any-model", "general-purpose-model"):
        return "bars-any-model"
    competes = _competes(document, student)
    return "bars-competing" if competes.value else "bars-distillation"


def _reaches(document: Document, student: Student) -> _Answer:
    training = document.training
    if training.scope == "any-model":
        return _Answer(True)
    if training.scope == "general-purpose-model":
        return _reaches_general(student)
    competes = _competes(document, student)
    if competes.value is not True and training.bars_distillation:
        return _Answer(True)
    if competes.value is False and training.scope == "similar":
        # "Similar" products are barred as well, and nobody has said what is similar.
        return _Answer(None)
    return competes


def _reaches_general(student: Student) -> _Answer:
    if student.purpose is None:
        return _Answer(None, ("purpose",))
    return _Answer(True if student.purpose in GENERAL_PURPOSES else None)


def _competes(document: Document, student: Student) -> _Answer:
    if student.competes_with is None:
        return _Answer(None, ("competes_with",))
    return _Answer(document.provider in student.competes_with)


def _any_exception(document: Document, student: Student) -> tuple[_Answer, StatedException | None]:
    """Whether a stated exception applies: one that does, else whether one may."""
    needs: list[str] = []
    open_question = False
    for exception in document.training.exceptions:
        answer = _exception(exception, student)
        if answer.value:
            return answer, exception
        if answer.value is None:
            open_question = True
            needs.extend(answer.needs)
    return _Answer(None if open_question else False, tuple(dict.fromkeys(needs))), None


def _exception(exception: StatedException, student: Student) -> _Answer:
    if exception.kind == "by-agreement":
        return _Answer(False)
    family = _own_family(exception, student) if exception.kind == "own-family" else _Answer(True)
    checks = [(exception.purposes, "purpose", student.purpose)] if exception.kind != "own-family" else []
    if exception.distribution:
        checks.append((exception.distribution, "distribution", student.distribution))
    if family.value is False or any(value is not None and value not in allowed for allowed, _, value in checks):
        return _Answer(False)
    needs = tuple(name for _, name, value in checks if value is None)
    return _Answer(None if needs or family.value is None else True, (*family.needs, *needs))


def _own_family(exception: StatedException, student: Student) -> _Answer:
    """The student is built on the family that the bar spares, by its base model or by its base's licence."""
    licences = {licence.lower() for licence in exception.licences}
    licensed = student.base_license is not None and student.base_license.lower() in licences
    if student.base_model is None:
        return _Answer(None, ("base_model",))
    if matches(exception.models, student.base_model):
        return _Answer(True)
    if licences and student.base_license is None and not student.base_by_name:
        return _Answer(None, ("base_license",))
    # A base of another name under the family's licence: a person has to look.
    return _Answer(None if licensed and student.base_model else False)


def _reading(
    document: Document,
    stance: Stance,
    text: str,
    *,
    student: Student | None = None,
    needs: tuple[str, ...] = (),
    clause: str | None = None,
    spares: bool = False,
    by_family: bool = False,
) -> Reading:
    facts: dict[str, Any] = {"train_on_outputs": document.training.value, "verified": document.training.verified}
    if student is not None:
        facts.update(_student_facts(student))
    finding = Finding(
        document=document.id,
        clause=clause or document.training.clause,
        route="contract" if document.route == "guidance" else document.route,
        text=text,
        facts=facts,
        needs=needs,
    )
    return Reading(document, stance, finding, spares=spares, by_family=by_family)


def _student_facts(student: Student) -> Mapping[str, Any]:
    competes = student.competes_with
    return {
        "competes_with": "unknown" if competes is None else sorted(competes),
        "purpose": student.purpose or "unknown",
        "distribution": student.distribution or "unknown",
        "base_model": "unknown" if student.base_model is None else student.base_model,
    }
