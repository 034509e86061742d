"""Pages about models: teacher and student are one kind of thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import File, Link, Page, Time
from provenance.api.views.decisions import Answer, Condition
from provenance.training.comparisons import Comparison


@dataclass(frozen=True)
class ModelRow:
    """One model of the list; `kind` is hosted, open-weights, trained, or not registered; `samples` counts what it generated."""

    id: str
    provider: str
    name: str
    kind: str
    license: str | None
    parameters_count: int | None
    samples: int


@dataclass(frozen=True)
class ModelsPage(Page):
    """`/models`: which models the record knows."""

    template: ClassVar[str] = "models/list.html"
    section: ClassVar[str] = "Training"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[ModelRow]


@dataclass(frozen=True)
class Signature:
    """The OpenSSF bundle over a model's folder, and the key that made it."""

    digest: str
    keyid: str


@dataclass(frozen=True)
class Publication:
    """One publication: under which name, by whom, and the entry that says so."""

    id: str
    name: str
    verdict: str
    actor: str
    at: Time
    entry_index: int


@dataclass(frozen=True)
class ModelPage(Page):
    """`/models/{id}`: where it comes from, what it carries on, what was measured.

    `conditions` are inherited by whoever trains on its outputs; `teacher_id` is how a sample names it as teacher.
    `publishing` is what policies and lineage answer today for the action `publish`, None where it was not trained here;
    `blocking` says in words what stands against it, a recall or a withdrawal included.
    `terms_url` leads to its provider's terms where they are on record.
    `recall` is the recall that reached it and is in force.
    `entry_index` is None for a teacher that samples name and nobody registered.
    """

    template: ClassVar[str] = "models/show.html"
    section: ClassVar[str] = "Training"
    rows_field: ClassVar[str | None] = "files"

    id: str
    provider: str
    name: str
    kind: str
    revision: str | None
    weights_digest: str | None
    license: str | None
    parameters_count: int | None
    parents: Sequence[Link]
    children: Sequence[Link]
    run_id: str | None
    release: str | None
    conditions: Sequence[Condition]
    files: Sequence[File]
    evaluation: Sequence[Comparison]
    limits: Sequence[str]
    entry_index: int | None
    teacher_id: str
    samples: int
    terms_url: str | None = None
    publishing: Answer | None = None
    publishing_asked_at: Time | None = None
    recall: str | None = None
    signature: Signature | None = None
    card_url: str | None = None
    blocking: Sequence[str] = ()
    publications: Sequence[Publication] = ()
