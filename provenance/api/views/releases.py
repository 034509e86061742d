"""Pages about releases: the list, and one release with its gate result first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.api.views.common import File, Link, Page, Time
from provenance.api.views.decisions import Condition


@dataclass(frozen=True)
class ReleaseRow:
    """One release of the list; `state` as in the contract: building, allowed, partial, blocked, withdrawn …"""

    name: str
    version: int
    state: str
    student: str
    released: int
    quarantined: int
    created_at: Time
    approval: str | None = None


@dataclass(frozen=True)
class ReleasesPage(Page):
    """`/releases`: which releases there are, newest first."""

    template: ClassVar[str] = "releases/list.html"
    section: ClassVar[str] = "Releases"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[ReleaseRow]


@dataclass(frozen=True)
class Composition:
    """What one teacher gave to the release."""

    teacher: str
    route: str
    terms: Sequence[str]
    samples: int
    tokens: int


@dataclass(frozen=True)
class Quarantined:
    """Samples held back for one reason: the rule that spoke, its words, its document and clause."""

    teacher: str
    verdict: str
    rule: str
    text: str
    document: str | None
    clause: str | None
    samples: int


@dataclass(frozen=True)
class Erased:
    """The erasure that took samples out of the release, so that its data is gone."""

    erasure: str
    samples: int


@dataclass(frozen=True)
class Withdrawal:
    """Who took the release back, when and why, and the entry that says so."""

    actor: str
    at: Time
    reason: str
    entry: int


@dataclass(frozen=True)
class Approval:
    """A second person's word on the release: which rules ask for it, who asked for the release, who gave it where and why."""

    state: str
    rules: Sequence[Link]
    requested_by: str | None
    approved_by: str | None
    at: Time | None
    reason: str | None
    entry: int | None


@dataclass(frozen=True)
class ReleasePage(Page):
    """`/releases/{name}@{version}`: did it pass, what is in it, what was held back. `load_code` is Python to paste.

    `entry_index` is None while the release is being built; `error` says why a build failed. `previous` is the version before.
    """

    template: ClassVar[str] = "releases/show.html"
    section: ClassVar[str] = "Releases"
    rows_field: ClassVar[str | None] = "quarantine"

    id: str
    name: str
    version: int
    state: str
    dataset: str
    student: str
    created_at: Time
    decision_id: str | None
    verdict: str | None
    selected: int
    released: int
    quarantined: int
    composition: Sequence[Composition]
    conditions: Sequence[Condition]
    quarantine: Sequence[Quarantined]
    files: Sequence[File]
    splits: Mapping[str, int]
    manifest_digest: str | None
    index_set_digest: str | None
    log_size: int | None
    entry_index: int | None
    runs: Sequence[Link]
    reports: Sequence[Link]
    load_code: str
    erased: Erased | None = None
    withdrawn: Withdrawal | None = None
    recall: str | None = None
    error: str | None = None
    previous: int | None = None
    approval: Approval | None = None
