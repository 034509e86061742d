"""Pages of decisions: the list, and "why blocked"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.views.common import Link
from provenance.api.views.decisions import (
    DecisionPage,
    DecisionRow,
    DecisionsPage,
    SampleClass,
    VerdictCount,
    parse_answer,
)
from provenance.store.log import find_content, get_statement, list_statements
from provenance.store.pages import list_release_classes, name_students
from provenance.store.tables import StatementRow

router = APIRouter()
SHOWN_CLASSES = 100
VERDICTS = ("deny", "review", "allow-with-conditions", "allow")


@add_page(router, "/decisions", "json", "csv")
def index_decisions(asked: PageDep) -> Response:
    """What was decided, newest first."""
    students, subjects = name_students(asked.session), _subjects(asked)
    rows = [_fill_row(row, students, subjects) for row in list_statements(asked.session, "decision")]
    return asked.answer(DecisionsPage(rows))


@add_page(router, "/decisions/{identifier}", "json", "csv")
def show_decision(identifier: str, asked: PageDep) -> Response:
    """One decision: why, and what would unblock it."""
    return asked.answer(fill_decision(asked, get_statement(asked.session, "decision", identifier)))


def fill_decision(asked: Asked, row: StatementRow) -> DecisionPage:
    """The page of a stored decision."""
    said = row.predicate
    content = find_content(asked.session, row.index) or {"answer": {"verdict": said["verdict"]}, "classes": []}
    student = get_statement(asked.session, "student", said["student"]["id"]).predicate["facts"]
    grouped = group_classes(sorted(content["classes"], key=lambda item: VERDICTS.index(item["answer"]["verdict"])))
    return DecisionPage(
        id=said["id"],
        entry_index=row.index,
        decided_at=said["decided_at"],
        action=said["action"],
        subject=_subjects(asked).get(said["id"]) or subject_of(said),
        student=student["name"],
        student_digest=said["student"]["digest"],
        student_facts=student,
        answer=parse_answer(content["answer"]),
        counts=count_verdicts(said["classes"]),
        classes=grouped[:SHOWN_CLASSES],
        classes_left_out=max(0, len(grouped) - SHOWN_CLASSES),
        answer_digest=said["answer_digest"],
    )


def count_verdicts(classes: Sequence[Sequence[Any]]) -> list[VerdictCount]:
    """Samples and tokens by verdict, out of the classes of a decision's entry, the strictest first."""
    samples: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for _, verdict, count, size in classes:
        samples[verdict] += count
        tokens[verdict] += size
    return [VerdictCount(verdict, samples[verdict], tokens[verdict]) for verdict in VERDICTS if samples[verdict]]


def subject_of(said: Mapping[str, Any]) -> Link:
    """What a decision that made no release was about: a data set, or a part of it."""
    selection = said["selection"]
    part = ", ".join(f"{name} {value}" for name, value in sorted(selection["filter"].items()))
    name = f"data set {selection['dataset']}" + (f" ({part})" if part else "")
    return Link(name, f"/samples?dataset={selection['dataset']}")


def _subjects(asked: Asked) -> dict[str, Link]:
    return {
        release.decision: Link(
            f"release {release.name}@{release.version}", f"/releases/{release.name}@{release.version}"
        )
        for release, _ in list_release_classes(asked.session)
    }


def _fill_row(row: StatementRow, students: Mapping[str, str], subjects: Mapping[str, Link]) -> DecisionRow:
    said = row.predicate
    return DecisionRow(
        id=said["id"],
        subject=(subjects.get(said["id"]) or subject_of(said)).text,
        student=students.get(said["student"]["id"], said["student"]["id"]),
        action=said["action"],
        verdict=said["verdict"],
        samples=said["counts"]["samples"],
        decided_at=said["decided_at"],
    )


def group_classes(classes: Sequence[Mapping[str, Any]]) -> list[SampleClass]:
    """Classes that differ only in facts that no rule told apart, such as the day, as one row."""
    rows: dict[tuple[Any, ...], SampleClass] = {}
    for item in classes:
        row = _fill_class(item)
        key = (row.teacher, row.route, row.verdict, *row.documents, *row.rules)
        before = rows.get(key, replace(row, classes=0, samples=0, tokens=0))
        rows[key] = replace(
            row,
            classes=before.classes + 1,
            samples=before.samples + row.samples,
            tokens=before.tokens + row.tokens,
        )
    return list(rows.values())


def stands_against(reason: Mapping[str, Any]) -> bool:
    """Whether a reason of an answer bars or holds back, and no exception set it aside."""
    return reason["effect"] != "permit" and "lifted_by" not in reason


def _fill_class(item: Mapping[str, Any]) -> SampleClass:
    answer, teacher = item["answer"], item["facts"]["teacher"]
    return SampleClass(
        classes=1,
        verdict=answer["verdict"],
        samples=item["samples"],
        tokens=item["tokens"],
        teacher=f"{teacher['provider']}/{teacher['model']}",
        route=teacher["route"],
        documents=[document["id"] for document in answer["documents"]],
        rules=[reason["rule"] for reason in answer["reasons"] if stands_against(reason)],
    )
