"""Queries over recalls: what each reached, how far it is, and what all of them together hold back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session, col, select

from provenance.errors import FieldError, NotFoundError
from provenance.store.log import find_content, list_statements
from provenance.store.ranges import IndexSet, parse_runs
from provenance.store.recall_steps import Act, Recall, fold_recall
from provenance.store.tables import StatementRow

MAX_RECALLS = 10_000


@dataclass(frozen=True)
class Logged:
    """A recall with its frozen reach and the entries that made it; `reach` is None when its list is not stored."""

    recall: Recall
    reach: Mapping[str, Any] | None
    entries: tuple[StatementRow, ...]

    @property
    def closed_at(self) -> int | None:
        """The entry that closed it; None while it is open. A step that was not allowed closed nothing."""
        said = (self.recall.state, self.recall.closed_by, self.recall.closed_at)
        steps = (row for row in self.entries if row.predicate["step"] == "close")
        closing = (row.index for row in steps if tuple(map(row.predicate.get, ("outcome", "actor", "at"))) == said)
        return next(closing, None)


@dataclass
class Held:
    """What the recalls in force hold back: the id of the recall by release, model, run, and class of a
    dataset; and samples."""

    releases: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    classes: dict[tuple[str, str], str] = field(default_factory=dict)
    samples: list[tuple[str, IndexSet]] = field(default_factory=list)

    def classes_of(self, dataset: str, digests: Iterable[str]) -> dict[str, str]:
        """Which recall holds each of these classes of `dataset` back; those that none does are left out."""
        named = ((digest, self.classes.get((dataset, digest))) for digest in digests)
        return {digest: recall for digest, recall in named if recall is not None}

    def find_sample(self, index: int) -> str | None:
        """The recall that names the sample at `index` itself, or None."""
        return next((key for key, indices in self.samples if index in indices), None)


def get_recall(session: Session, identifier: str) -> Logged:
    """One recall.

    Raises:
        NotFoundError: the log knows of none.
    """
    query = select(StatementRow).where(StatementRow.kind == "recall", StatementRow.key == identifier)
    rows = session.exec(query.order_by(col(StatementRow.index))).all()
    if not rows:
        expected = "a recall's id"
        raise NotFoundError(f"there is no recall {identifier!r}", FieldError("recall", identifier, expected))
    reach = find_content(session, rows[0].index)
    acts = [Act(**act) for act in reach["acts"]] if reach else []
    return Logged(fold_recall([row.predicate for row in rows], acts), reach, tuple(rows))


def list_recalls(session: Session) -> list[Logged]:
    """All recalls, newest first."""
    rows = list_statements(session, "recall", limit=MAX_RECALLS)
    opened = [row.key for row in rows if row.predicate["step"] == "open"]
    return [get_recall(session, identifier) for identifier in dict.fromkeys(opened)]


def load_held(session: Session) -> Held:
    """What is held back now, as it was frozen."""
    return fold_held(list_holding(session))


def list_holding(session: Session) -> list[Logged]:
    """The recalls that hold something back, oldest first."""
    return [logged for logged in reversed(list_recalls(session)) if logged.recall.holds]


def fold_held(holding: Iterable[Logged]) -> Held:
    """What these recalls hold back, as it was frozen."""
    held = Held()
    for logged in holding:
        if logged.reach is not None:
            _add(held, logged.recall.id, logged.reach)
    return held


def _add(held: Held, identifier: str, reach: Mapping[str, Any]) -> None:
    for target, items in (
        (held.releases, reach["releases"]),
        (held.models, reach["models"]),
        (held.runs, reach["runs"]),
    ):
        for item in items:
            target.setdefault(item["id"], identifier)
    for item in reach["classes"]:
        held.classes.setdefault((item["dataset"], item["digest"]), identifier)
    if reach["indices"]:
        held.samples.append((identifier, parse_runs(reach["indices"])))
