"""What is tainted: the thing a recall starts from, and where it stands in the record.

A source says little (`{"kind": "teacher", "id": "openai/gpt-4o"}`); `find_start` answers with what that means at a log size:
fact classes, single samples, releases, models. From there on the lineage walks.

Two sessions are asked: `session` for the index, `log` for entries and what lies beside them. They are one but where a list
is made again from entries alone (`recall.prove`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sqlmodel import Session, col, select

from provenance.attestation.envelope import read_envelope
from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.policy.held import FOLLOWED
from provenance.release.choose import Query, choose_rows
from provenance.store.erasures import load_indices
from provenance.store.lineage import normal_name
from provenance.store.log import get_statement, read_entry
from provenance.store.ranges import IndexSet, fold_indices
from provenance.store.releases import get_release
from provenance.store.samples import get_dataset
from provenance.store.tables import FactClass, LineageNode, Model, SampleRow, StatementRow
from provenance.terms.recorded import load_recorded
from provenance.terms.resolve import resolve_terms

FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = MappingProxyType(
    {  # kind -> fields that must be there, fields that may
        "provider": (frozenset({"id"}), frozenset()),
        "teacher": (frozenset({"id"}), frozenset()),
        "dataset": (frozenset({"id"}), frozenset()),
        "terms": (frozenset({"id"}), frozenset()),
        "collector-key": (frozenset({"id"}), frozenset({"since"})),
        "erasure": (frozenset({"id"}), frozenset()),
        "release": (frozenset({"id"}), frozenset()),
        "model": (frozenset({"id"}), frozenset()),
        "samples": (frozenset(), frozenset({"indices", "external_ids", "dataset", "selection"})),
    }
)
MAX_TEXT = 300


@dataclass(frozen=True)
class Start:
    """Where a recall starts: ids of fact classes and datasets, single samples, ids of releases and models, and names of
    models, registered or not."""

    classes: frozenset[int] = frozenset()
    datasets: frozenset[int] = frozenset()
    indices: IndexSet = field(default_factory=IndexSet)
    releases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing in the record is meant."""
        return not (self.classes or self.datasets or self.indices.runs or self.releases or self.models or self.names)


def check_source(source: Any) -> dict[str, Any]:
    """A source with a kind that is known and the fields that it has.

    Raises:
        MalformedError: names the field.
    """
    kind = source.get("kind") if isinstance(source, Mapping) else None
    if not isinstance(kind, str) or kind not in FIELDS:
        expected = f"one of {', '.join(FIELDS)}"
        raise MalformedError(f"source.kind: expected {expected}", FieldError("source.kind", kind, expected))
    needed, free = FIELDS[kind]
    for name in sorted({*needed, *source} - {"kind"}):
        value = source.get(name)
        if name not in needed | free:
            expected = f"of a {kind}: {', '.join(sorted(needed | free))}"
            raise MalformedError(f"source.{name}: expected {expected}", FieldError(f"source.{name}", value, expected))
        if name == "id" and not (isinstance(value, str) and 0 < len(value) <= MAX_TEXT):
            raise MalformedError("source.id: expected text", FieldError("source.id", value, "text"))
    since = source.get("since")
    if since is not None and (type(since) is not int or since < 0):
        raise MalformedError("source.since: expected an index", FieldError("source.since", since, "an entry index"))
    return dict(source)


def describe_source(source: Mapping[str, Any]) -> str:
    """The source in words."""
    if source["kind"] == "samples":
        parts = [
            f"{name} {source[name]}" for name in ("indices", "external_ids", "dataset", "selection") if source.get(name)
        ]
        return f"samples by {', '.join(parts)}"
    since = f" from entry {source['since']} on" if source.get("since") is not None else ""
    return f"{source['kind'].replace('-', ' ')} {source['id']}{since}"


def describe_later(source: Mapping[str, Any]) -> str:
    """What becomes of samples that come after the list was frozen."""
    made = "What is made later of a model, release or class on the list is held with it."
    if source["kind"] in FOLLOWED:
        return f"Later samples of this {source['kind']} are held until the recall is closed. {made}"
    if source["kind"] == "collector-key":
        return f"Later batches of this key are not held: revoke it (`provenance keys revoke`). {made}"
    return made


def find_start(session: Session, source: Mapping[str, Any], log: Session, log_size: int) -> Start:
    """What `source` means in the record below `log_size`.

    Raises:
        NotFoundError: nothing in the record is meant by it.
    """
    start = _FINDERS[source["kind"]](session, source, log, log_size)
    if start.empty:
        expected = f"a {source['kind']} that the record knows"
        raise NotFoundError(
            f"nothing in the record comes from {describe_source(source)}",
            FieldError("source", source.get("id"), expected),
        )
    return start


def _by_provider(session: Session, source: Mapping[str, Any], _: Session, size: int) -> Start:
    names = _names(session, lambda name: name.partition("/")[0] == normal_name(source["id"]), size)
    start = _of_classes(session, lambda row: row.facts["teacher"]["provider"] == source["id"], size)
    return replace(start, names=names)


def _by_teacher(session: Session, source: Mapping[str, Any], _: Session, size: int) -> Start:
    names = _names(session, lambda name: name == normal_name(source["id"]), size)
    return replace(_of_classes(session, lambda row: row.teacher == source["id"], size), names=names)


def _names(session: Session, meant: Callable[[str], bool], size: int) -> tuple[str, ...]:
    """The names of models that are meant: what was made from their weights is reached too."""
    query = select(LineageNode.name).where(col(LineageNode.kind).in_(["model", "name"]), LineageNode.entry < size)
    return tuple(sorted({name for name in session.exec(query) if name is not None and meant(name)}))


def _by_terms(session: Session, source: Mapping[str, Any], log: Session, size: int) -> Start:
    catalogue = load_recorded(log, size)

    def bound(row: FactClass) -> bool:
        return source["id"] in {document.id for document in resolve_terms(row.facts, catalogue).documents}

    return _of_classes(session, bound, size)


def _of_classes(session: Session, meant: Callable[[FactClass], bool], size: int) -> Start:
    rows = [row for row in session.exec(select(FactClass)) if meant(row)]
    first = {row.id: _first_index(session, row.id or 0) for row in rows}
    return Start(classes=frozenset(key for key, index in first.items() if key and index is not None and index < size))


def _first_index(session: Session, fact_class: int) -> int | None:
    query = select(SampleRow.index).where(SampleRow.fact_class_id == fact_class).order_by(col(SampleRow.index)).limit(1)
    return session.exec(query).first()


def _by_samples(session: Session, source: Mapping[str, Any], _: Session, size: int) -> Start:
    query = Query(
        source.get("indices") or (), source.get("external_ids") or (), source.get("dataset"), source.get("selection")
    )
    rows = choose_rows(session, query)
    return Start(indices=fold_indices(row.index for row in rows if row.index < size))


def _by_dataset(session: Session, source: Mapping[str, Any], _: Session, size: int) -> Start:
    row = get_dataset(session, source["id"])
    return Start(datasets=frozenset({row.id or 0} if row.first_index < size else ()))


def _by_key(session: Session, source: Mapping[str, Any], log: Session, size: int) -> Start:
    since = source.get("since") or 0
    get_statement(session, "key", source["id"])
    batches = session.exec(select(StatementRow).where(StatementRow.kind == "batch", StatementRow.index < size))
    signed = (row for row in batches if row.index >= since and source["id"] in _signers(log, row.index))
    runs = [(row.index - row.predicate["count"], row.index) for row in signed]
    return Start(indices=fold_indices(index for first, end in runs for index in range(max(first, since), end)))


def _signers(log: Session, index: int) -> set[str]:
    return {signature.keyid for signature in read_envelope(read_entry(log, index)).signatures}


def _by_erasure(_: Session, source: Mapping[str, Any], log: Session, size: int) -> Start:
    return Start(indices=fold_indices(index for index in load_indices(log, source["id"]) if index < size))


def _by_release(session: Session, source: Mapping[str, Any], _: Session, __: int) -> Start:
    return Start(releases=(str(get_release(session, source["id"])["id"]),))


def _by_model(session: Session, source: Mapping[str, Any], _: Session, __: int) -> Start:
    found = session.exec(select(Model.id).where((Model.id == source["id"]) | (Model.name == source["id"]))).all()
    return Start(models=tuple(found))


_FINDERS: Mapping[str, Callable[[Session, Mapping[str, Any], Session, int], Start]] = MappingProxyType(
    {
        "provider": _by_provider,
        "teacher": _by_teacher,
        "terms": _by_terms,
        "samples": _by_samples,
        "dataset": _by_dataset,
        "collector-key": _by_key,
        "erasure": _by_erasure,
        "release": _by_release,
        "model": _by_model,
    }
)
