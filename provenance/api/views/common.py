"""What the pages share: the page's base, the state of the log, and the small values that many pages show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provenance.report.formats import Time

__all__ = ["Chip", "Facet", "FacetValue", "File", "Link", "Page", "Pager", "Proof", "Sibling", "Site", "Time"]


@dataclass(frozen=True)
class Site:
    """What stands on every page: the log as this page saw it.

    `log_size` is None where the log could not be read, `checkpoint_at` before the first checkpoint too.
    """

    origin: str
    log_size: int | None
    checkpoint_at: Time | None
    witnesses_agreeing: int = 0
    witnesses_total: int = 0


@dataclass(frozen=True)
class Page:
    """Base of all pages: one template, one typed context. `rows_field` names the field that the CSV twin lists."""

    template: ClassVar[str]
    section: ClassVar[str] = ""
    rows_field: ClassVar[str | None] = None
    twins: ClassVar[tuple[str, ...]] = ("json", "csv")


@dataclass(frozen=True)
class Link:
    """A name and where it leads."""

    text: str
    url: str


@dataclass(frozen=True)
class FacetValue:
    """One choice of a facet: its value in the URL, its words, how many rows it holds."""

    value: str
    label: str
    count: int
    checked: bool = False


@dataclass(frozen=True)
class Facet:
    """One facet: `name` is the query parameter; `left_out` counts the values that are not shown."""

    name: str
    title: str
    values: Sequence[FacetValue]
    left_out: int = 0


@dataclass(frozen=True)
class Chip:
    """An active filter in words, and the URL of the same list without it."""

    text: str
    remove_url: str


@dataclass(frozen=True)
class Pager:
    """Where a list goes on by cursor; None where it ends. `capped` says that `total` is only a lower bound."""

    shown: int
    total: int
    capped: bool = False
    newer_url: str | None = None
    older_url: str | None = None


@dataclass(frozen=True)
class File:
    """A file of a release, model or report, with its digest (`sha256:…`)."""

    path: str
    digest: str
    size_bytes: int
    rows: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Sibling:
    """One hash of an inclusion proof: `side` is left or right of the path, `digest` hexadecimal."""

    side: str
    digest: str


@dataclass(frozen=True)
class Proof:
    """An inclusion proof of the entry at `index` in the log of `size` entries under `root` (hexadecimal)."""

    index: int
    size: int
    leaf_hash: str
    root: str
    siblings: Sequence[Sibling]
