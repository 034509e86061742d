"""Pages about samples: the list with its facets, and one sample with its proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from provenance.api.views.common import Chip, Facet, Link, Page, Pager, Proof, Time


@dataclass(frozen=True)
class SampleRow:
    """One sample of the list; `verdict` is that of its latest decision, None before the first."""

    index: int
    generated_at: Time
    dataset: str
    teacher: str
    route: str
    terms: Sequence[str]
    verdict: str | None
    releases: Sequence[str]
    tokens: int | None
    evidence: str


@dataclass(frozen=True)
class SamplesPage(Page):
    """`/samples`: which samples there are. `query` is the search text as typed; `chips` are the active filters."""

    template: ClassVar[str] = "samples/list.html"
    section: ClassVar[str] = "Samples"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[SampleRow]
    query: str
    facets: Sequence[Facet]
    chips: Sequence[Chip]
    pager: Pager


@dataclass(frozen=True)
class SampleVerdict:
    """The answer at the top: may this sample train this student. `text` says why in one sentence."""

    verdict: str
    student: str
    text: str
    rules: Sequence[str]
    decision_id: str
    decided_at: Time


@dataclass(frozen=True)
class TermsInForce:
    """A document in force for the sample's route on its day. `training` says what it says about training on outputs."""

    id: str
    provider: str
    title: str
    version: str | None
    effective_from: Time | None
    effective_to: Time | None
    verified: bool
    training: str


@dataclass(frozen=True)
class Message:
    """One message of a prompt or completion, as it came."""

    role: str
    content: str


@dataclass(frozen=True)
class SampleText:
    """Prompt and completion; the page hides them until asked."""

    prompt: Sequence[Message]
    completion: Sequence[Message]


@dataclass(frozen=True)
class SampleUse:
    """A release that holds or quarantined the sample, and the run that trained on it, if any."""

    release: str
    state: str
    student: str
    run_id: str | None
    tokens_share: float | None


@dataclass(frozen=True)
class SampleFacts:
    """The facts of the record, as they were signed; None where not known."""

    dataset: str
    teacher: str
    provider: str
    route: str
    host: str | None
    revision: str | None
    weights_digest: str | None
    served_model: str | None
    role: str
    generated_at: Time
    generated_in: str | None
    account: str | None
    parameters: Mapping[str, Any]
    input_tokens: int | None
    output_tokens: int | None
    finish_reason: str | None
    request_id: str | None
    prompt_origin: str | None
    source_dataset: str | None
    human_contribution: str | None
    evidence: str
    prompt_commitment: str
    completion_commitment: str
    fact_class: str
    external_id: str | None
    logged_at: Time
    capture: str
    batch_index: int


@dataclass(frozen=True)
class SamplePage(Page):
    """`/samples/{index}`: answer, origin, terms, text, use, proof. `text` is None when it was erased or may not be read;
    `erasure_id` says by which erasure, where it is on record.

    `evidence_url` gives the JSON that `verify.js` checks, `bundle_url` the evidence to keep.
    """

    template: ClassVar[str] = "samples/show.html"
    section: ClassVar[str] = "Samples"

    index: int
    verdict: SampleVerdict | None
    facts: SampleFacts
    terms: Sequence[TermsInForce]
    text: SampleText | None
    erased: bool
    erasure_id: str | None
    uses: Sequence[SampleUse]
    parents: Sequence[Link]
    proof: Proof
    statement: str
    evidence_url: str
    bundle_url: str
    log_vkey: str
    collector_keyid: str
