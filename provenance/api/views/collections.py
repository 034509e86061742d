"""Pages about collections: facts of data sets that others gathered, and our answer beside the one that they gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from provenance.api.views.common import Chip, Facet, File, Page, Pager


@dataclass(frozen=True)
class CollectionRow:
    """One recorded import; `different` counts the data sets on which we and upstream differ, None if that was not compared."""

    id: str
    origin: str
    datasets: int
    license_entries: int
    teacher_outputs: int
    different: int | None
    entry_index: int


@dataclass(frozen=True)
class CollectionsPage(Page):
    """`/sources/collections`: what others said of data sets."""

    template: ClassVar[str] = "sources/collections.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "rows"

    rows: Sequence[CollectionRow]


@dataclass(frozen=True)
class DifferenceKind:
    """One kind of difference: in words, how many data sets show it, of how many it is the only one, from both sides."""

    kind: str
    words: str
    datasets: int
    alone: int
    ours: Mapping[str, int]
    upstream: Mapping[str, int]
    url: str


@dataclass(frozen=True)
class CollectionDataset:
    """One data set in the list: `ours` is a verdict for a teacher output, else the class of its licences."""

    id: str
    name: str
    part_of: str
    teacher_output: bool
    licenses: Sequence[str]
    license_state: str
    generators: Sequence[str]
    parents: int
    ours: str
    upstream: str
    kinds: Sequence[str]


@dataclass(frozen=True)
class CollectionPage(Page):
    """`/sources/collections/{id}`: one import, its differences, its data sets."""

    template: ClassVar[str] = "sources/collection.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "rows"

    id: str
    origin: str
    counts: Mapping[str, Any]
    verdicts: Mapping[str, Mapping[str, int]]
    days: Mapping[str, int]
    kinds: Sequence[DifferenceKind]
    policy_digest: str
    terms_digest: str
    aliases_digest: str
    files: Sequence[File]
    entry_index: int
    query: str
    facets: Sequence[Facet]
    chips: Sequence[Chip]
    pager: Pager
    rows: Sequence[CollectionDataset]


@dataclass(frozen=True)
class LicenseClaim:
    """What one source says: the name that it writes, our SPDX id for it, and the class by our reading."""

    source: str
    name: str
    spdx: str | None
    use: str
    known: bool
    url: str | None


@dataclass(frozen=True)
class ParentLink:
    """One parent: what its name is taken for, and the data sets of this collection that it may be, with their pages."""

    name: str
    state: str
    ref: str | None
    datasets: int
    shown: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class TeacherFinding:
    """What the rules say of one teacher, over the days on which it can have been asked, to the students that get the same."""

    students: Sequence[str]
    teacher: str
    taken_for: str | None
    verdict: str
    first_day: str | None
    last_day: str | None
    by_verdict: Mapping[str, Sequence[str]]
    reasons: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class CollectionDatasetPage(Page):
    """`/sources/collections/{id}/{dataset}`: one data set, its licences by source, and why the answers differ."""

    template: ClassVar[str] = "sources/dataset.html"
    section: ClassVar[str] = "Sources"
    rows_field: ClassVar[str | None] = "licenses"

    collection: str
    id: str
    name: str
    part_of: str
    creators: Sequence[str]
    human_annotation: str | None
    addresses: Mapping[str, str]
    teacher_output: bool
    ours: str
    upstream: str
    verdicts: Mapping[str, str]
    kinds: Sequence[tuple[str, str]]
    license_state: str
    licenses: Sequence[LicenseClaim]
    provider_terms: Sequence[LicenseClaim]
    use: Mapping[str, str]
    generators: Sequence[str]
    parents: Sequence[ParentLink]
    stricter_ancestors: Sequence[str]
    parents_open: Sequence[str]
    dates: Mapping[str, str]
    generated_until: str | None
    findings: Sequence[TeacherFinding]
    entry_index: int
