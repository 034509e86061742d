"""Pages about erasures: the list, and one erasure with who asked, who agreed and what went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import Link, Page, Time


@dataclass(frozen=True)
class ErasureRow:
    """One erasure of the list; `state` is requested, running, done or failed. `approver` is None until somebody agreed."""

    id: str
    state: str
    samples: int
    requested_at: Time
    requester: str
    approver: str | None
    reason: str


@dataclass(frozen=True)
class ErasuresPage(Page):
    """`/erasures`: whose text was erased, or waits for a second person, newest first."""

    template: ClassVar[str] = "erasures/list.html"
    section: ClassVar[str] = "Samples"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[ErasureRow]


@dataclass(frozen=True)
class ErasedRun:
    """Neighbouring samples, first and last entry."""

    first: int
    last: int
    samples: int


@dataclass(frozen=True)
class DatasetShare:
    """What an erasure takes of one dataset; the share is of its tokens."""

    name: str
    samples: int
    tokens: int
    tokens_share: float


@dataclass(frozen=True)
class Withdrawn:
    """A release that held erased samples, and how many."""

    release: str
    samples: int


@dataclass(frozen=True)
class ErasurePage(Page):
    """`/erasures/{id}`: is the text gone, at whose word, what went with it, what is out of reach.

    `rows` are all samples as runs; the page shows the first of them and says how many are left out.
    """

    template: ClassVar[str] = "erasures/show.html"
    section: ClassVar[str] = "Samples"
    rows_field: ClassVar[str | None] = "rows"

    id: str
    state: str
    reason: str
    requester: str
    approver: str | None
    requested_at: Time
    ended_at: Time | None
    samples: int
    tokens: int
    indices_digest: str
    rows: Sequence[ErasedRun]
    datasets: Sequence[DatasetShare]
    releases: Sequence[Withdrawn]
    runs: Sequence[Link]
    entries: Sequence[Link]
    out_of_reach: Sequence[str]
    error: str | None = None
