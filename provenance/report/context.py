"""A report as a value: questions with their answers, sections with their fields; every form is drawn from it.

- A field has one of five states; nothing is inferred from a blank.
- A report states what was recorded and who attested it. It makes no finding, so no value here is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FieldState = Literal["recorded", "not_recorded", "conflicting", "attested", "not_applicable"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """A log entry that a value rests on: its index, its digest (`sha256:…`), and what it records."""

    index: int
    digest: str
    what: str


@dataclass(frozen=True)
class ReportField:
    """One field of the template. `value` is a list of rows, a mapping, a text or None; `rule_verified` the rule's tag."""

    id: str
    label: str
    description: str
    state: FieldState
    value: Sequence[Row] | Row | str | None
    derivation: str
    evidence: Sequence[Evidence]
    attestor: str | None
    rule_verified: str
    note: str | None


@dataclass(frozen=True)
class Section:
    """A numbered group of fields."""

    id: str
    title: str
    fields: Sequence[ReportField]


@dataclass(frozen=True)
class ClauseCitation:
    """A clause that speaks to a question: where it stands, what it says, by which route it reaches the student."""

    teacher: str
    document: str
    title: str
    version: str | None
    clause: str | None
    route: str
    says: str
    reading: str
    verified: bool


@dataclass(frozen=True)
class RecordedFact:
    """One recorded fact in a sentence, with the entries it rests on."""

    text: str
    evidence: Sequence[Evidence]


@dataclass(frozen=True)
class Answer:
    """What the record holds on one question: facts, clauses, and what is not recorded. `short` is the question in brief."""

    id: str
    question: str
    short: str
    summary: str
    facts: Sequence[RecordedFact]
    clauses: Sequence[ClauseCitation]
    not_recorded: Sequence[str]


@dataclass(frozen=True)
class LogState:
    """The log as the report saw it."""

    origin: str
    size: int
    root: str
    checkpoint_at: str
    key_ids: Sequence[str]
    gaps: Sequence[str]


@dataclass(frozen=True)
class Report:
    """A whole report about one subject at one log size."""

    id: str
    kind: str
    title: str
    audience: str
    subject: str
    student: str
    log: LogState
    answers: Sequence[Answer]
    sections: Sequence[Section]
    disclaimer: str
    verified_tags: Mapping[str, str]
    template_version: str
    template_as_of: str
    previous: str | None

    def all_fields(self) -> list[ReportField]:
        """Every field in order."""
        return [field for section in self.sections for field in section.fields]

    def gaps(self) -> list[ReportField]:
        """The fields for which nothing is recorded."""
        return [field for field in self.all_fields() if field.state == "not_recorded"]
