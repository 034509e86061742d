"""Pages about training runs: the list, and one run, live while it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from provenance.api.views.common import Link, Page, Time
from provenance.training.comparisons import Comparison


@dataclass(frozen=True)
class RunRow:
    """One run of the list; `state` is queued, running, done, failed, cancelled or lost."""

    id: str
    state: str
    student: str
    release: str
    recipe: str
    step: int
    total_steps: int | None
    started_at: Time | None


@dataclass(frozen=True)
class RunsPage(Page):
    """`/runs`: which runs there are, newest first."""

    template: ClassVar[str] = "runs/list.html"
    section: ClassVar[str] = "Training"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[RunRow]


@dataclass(frozen=True)
class LossPoint:
    """The training loss at one step, in nats per token."""

    step: int
    loss: float


@dataclass(frozen=True)
class Cost:
    """What the run used. `flops_method` and `energy_method` say how it was computed: measured or estimated, and by what.

    `money` is the amount by the user's prices and how it adds up, None where there is no table.
    """

    device: str | None
    isolation: str | None
    seconds: float | None
    flops: float | None
    flops_method: str | None
    energy_kwh: float | None
    energy_method: str | None
    peak_memory_bytes: int | None = None
    money: str | None = None


@dataclass(frozen=True)
class RunPage(Page):
    """`/runs/{id}`: was it permitted, how goes it, what did it cost, what can the student do.

    `waits_for` is what a queued run needs first, `place` where it ran. `attempt` counts from 1; `resume_step` is where a run
    that ended early can go on, None where it cannot.
    `teacher` is the one whose own weights were used in training, with the digest of its files; other recipes use none.
    `losses` holds every `loss_every`-th step. `events_url` gives the live events.
    `limits` says in words what was not measured and what the student cannot do.
    """

    template: ClassVar[str] = "runs/show.html"
    section: ClassVar[str] = "Training"
    rows_field: ClassVar[str | None] = "losses"

    id: str
    state: str
    student: str
    release: str
    decision_id: str | None
    verdict: str | None
    unmet_conditions: int
    base_model: str | None
    recipe: str
    started_at: Time | None
    finished_at: Time | None
    step: int
    total_steps: int | None
    loss: float | None
    tokens_per_second: float | None
    eta_seconds: float | None
    losses: Sequence[LossPoint]
    events_url: str
    cost: Cost
    comparisons: Sequence[Comparison]
    limits: Sequence[str]
    samples: int | None
    tokens: int | None
    seed: int | None
    config: Mapping[str, Any]
    code_digest: str | None
    environment_digest: str | None
    sample_ids_digest: str | None
    entries: Sequence[Link]
    model_id: str | None
    error: str | None
    loss_every: int = 1
    waits_for: str | None = None
    place: str | None = None
    teacher: str | None = None
    teacher_digest: str | None = None
    attempt: int = 1
    resume_step: int | None = None
