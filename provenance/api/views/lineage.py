"""The page of a lineage: a graph where it is small enough, and always the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from provenance.api.views.common import Link, Page


@dataclass(frozen=True)
class LineageRow:
    """One node: how far it is from the root, by which relation it was reached, and what reached it: `taint` says how a
    restriction or an unknown did, `clauses` how many only ask something; None where nothing is asked, as of samples.
    """

    distance: int
    kind: str
    label: str
    url: str
    generation: int | None
    taint: str | None
    via: str
    clauses: int | None = None


@dataclass(frozen=True)
class Shape:
    """One box of the drawing, at its column and row."""

    id: int
    column: int
    row: int
    kind: str
    label: str
    url: str
    taint: str | None


@dataclass(frozen=True)
class Drawing:
    """Boxes in columns, and arrows between them by the ids of both ends."""

    shapes: Sequence[Shape]
    arrows: Sequence[tuple[int, int, str]]


@dataclass(frozen=True)
class TaintRow:
    """A clause that reached the root, and the way on which it came."""

    way: str
    kind: str
    document: str | None
    clause: str | None
    text: str
    status: str
    path: str
    lifted_by: str | None = None


@dataclass(frozen=True)
class LiftRow:
    """An exception with which a release of the root was decided; one that has ended sets nothing aside any more."""

    exception: str
    in_force: bool
    clauses: Sequence[str]
    reason: str | None
    approvers: Sequence[str]
    expires_on: str | None


@dataclass(frozen=True)
class Share:
    """A part of the tokens behind the root, in per cent."""

    name: str
    tokens: int
    percent: float


@dataclass(frozen=True)
class LineagePage(Page):
    """`/lineage`: what the root was made from or what was made of it.

    `left_out` counts the nodes that are further away than those shown. `drawing` is None above what can be read. `steps` is
    the way to another thing where one was asked for, None where there is none.
    """

    template: ClassVar[str] = "lineage/show.html"
    section: ClassVar[str] = "Lineage"
    rows_field: ClassVar[str | None] = "rows"

    root: str
    direction: str
    depth: int
    to: str
    rows: Sequence[LineageRow]
    total: int
    left_out: int
    more_url: str | None
    other_url: str
    rings: Sequence[str] = ()
    drawing: Drawing | None = None
    generation: int | None = None
    self_made_percent: float | None = None
    teachers: Sequence[Share] = ()
    legal_routes: Sequence[Share] = ()
    taint: Sequence[TaintRow] = ()
    lifts: Sequence[LiftRow] = ()
    steps: Sequence[Link] | None = field(default=None)
