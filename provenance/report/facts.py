"""What the ownership-and-legality report is filled from: recorded facts of one release, as plain values.

Whoever reads the database fills these; `fill` turns them into a report without looking anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.report.context import Evidence, LogState


@dataclass(frozen=True)
class ClauseFact:
    """One fact of a terms document: `name` as in the catalogue (`output_ownership`, `train_on_outputs` …)."""

    name: str
    value: str
    clause: str | None
    paraphrase: str
    verified: bool


@dataclass(frozen=True)
class DocumentFacts:
    """A document in force for a group of samples. `conditions` are its obligations, named by their type."""

    id: str
    title: str
    version: str | None
    kind: str
    digest: str
    effective_from: str | None
    effective_to: str | None
    verified: bool
    clauses: Sequence[ClauseFact]
    conditions: Sequence[ClauseFact]
    evidence: Evidence | None

    def find_clause(self, name: str) -> ClauseFact | None:
        """The document's clause of this name, if it has one."""
        return next((clause for clause in self.clauses if clause.name == name), None)


@dataclass(frozen=True)
class TeacherGroup:
    """The selected samples of one teacher by one route and account. Counts of grades and kinds are of samples.

    `human_contributions` and `prompt_origins` count under "not recorded" what names none.
    """

    teacher: str
    provider: str
    route: str
    host: str | None
    account: str | None
    source_dataset: str | None
    verdict: str
    samples: int
    released: int
    tokens: int
    first_generated_at: str
    last_generated_at: str
    evidence_grades: Mapping[str, int]
    human_contributions: Mapping[str, int]
    prompt_origins: Mapping[str, int]
    documents: Sequence[DocumentFacts]
    evidence: Sequence[Evidence]


@dataclass(frozen=True)
class DecisionFacts:
    """The decision behind the release: `answer` as `CONTRACT` gives it. `author` is the policy's, where recorded."""

    id: str
    decided_at: str
    answer: Mapping[str, Any]
    policy_author: str | None
    evidence: Evidence
    policy_evidence: Evidence | None


@dataclass(frozen=True)
class RunFacts:
    """The training run on the release. Numbers that were not taken are None; methods say measured or estimated."""

    id: str
    state: str
    base_model: str | None
    recipe: str
    steps: int | None
    tokens: int | None
    device: str | None
    isolation: str | None
    flops: float | None
    flops_method: str | None
    energy_kwh: float | None
    energy_method: str | None
    evidence: Sequence[Evidence]
    cost: str | None = None  # by the user's prices


@dataclass(frozen=True)
class ModelFacts:
    """The student as a registered model, with the conditions that it inherited (`CONTRACT`'s condition objects)."""

    id: str
    name: str
    weights_digest: str | None
    parameters_count: int | None
    license: str | None
    conditions: Sequence[Mapping[str, Any]]
    evidence: Evidence
    published: Sequence[tuple[str, Evidence]] = ()  # under which names it was given away


@dataclass(frozen=True)
class AgreementFacts:
    """A written permission."""

    provider: str
    scope: str
    valid_from: str | None
    valid_to: str | None
    document_digest: str
    evidence: Evidence


@dataclass(frozen=True)
class ReleaseFacts:
    """Everything that the report may say, at one log size."""

    report_id: str
    previous_report_id: str | None
    log: LogState
    release: str
    state: str
    manifest_digest: str | None
    selected: int
    released: int
    quarantined: int
    release_evidence: Evidence
    student: Mapping[str, Any]
    decision: DecisionFacts
    groups: Sequence[TeacherGroup]
    agreements: Sequence[AgreementFacts]
    run: RunFacts | None
    model: ModelFacts | None
