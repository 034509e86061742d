"""What a field holds, and the readings of the facts that several fields share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provenance.report.context import Evidence, FieldState, Row
from provenance.report.facts import DocumentFacts, ReleaseFacts, TeacherGroup

NOT_RECORDED = "not recorded"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Filled:
    """What a field holds."""

    state: FieldState
    value: Sequence[Row] | Row | str | None
    evidence: Sequence[Evidence] = ()
    attestor: str | None = None
    note: str | None = None


def not_recorded(note: str) -> Filled:
    """A field for which the log holds nothing; `note` says what was looked for."""
    return Filled("not_recorded", None, note=note)


def list_bindings(facts: ReleaseFacts) -> list[tuple[TeacherGroup, DocumentFacts]]:
    """Each teacher with each document that binds it."""
    return [(group, document) for group in facts.groups for document in group.documents]


def document_evidence(facts: ReleaseFacts) -> list[Evidence]:
    """The entries of the documents."""
    return unique_evidence([document.evidence for _, document in list_bindings(facts) if document.evidence])


def group_evidence(facts: ReleaseFacts) -> list[Evidence]:
    """The entries that attest the samples."""
    return unique_evidence([evidence for group in facts.groups for evidence in group.evidence])


def unique_evidence(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Each entry once, by index."""
    return [by_index for _, by_index in sorted({item.index: item for item in evidence}.items())]
