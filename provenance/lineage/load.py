"""Read the graph of a log size, and find in it what a caller names.

A reference is `KIND:KEY` or a bare id: `mdl_…`, `rel_…`, `run_…`, `rep_…`, `provider/name`, `release@version`, the number of
a sample's entry, or `fact-class:sha256:…`, `dataset:NAME`, `source:REF`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import starmap
from threading import Lock
from typing import NamedTuple

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.lineage.graph import Edge, Graph, Node, build_graph, extend_graph
from provenance.store import lineage as store
from provenance.store.log import get_head

EXPECTED = (
    "model:ID or provider/name, release:ID or name@version, run:ID, report:ID, sample:ENTRY, fact-class:DIGEST, "
    "dataset:NAME or source:REF"
)
MAX_REFERENCE = 400
KEPT = 4  # graphs, the newest used ones


class _Kept(NamedTuple):
    """A graph with what it was read from: `sums` hold as long as nobody made the index again in another way."""

    log: str
    size: int
    sums: tuple[int, ...]
    graph: Graph


_kept: list[_Kept] = []
_keeping = Lock()


def load_graph(session: Session, log_size: int | None = None) -> Graph:
    """The graph that the entries below `log_size` say; all of them by default.

    Entries are only ever added, so a graph that was read before is carried on: only what they added is read.

    Raises:
        UnavailableError: the index is older than the graph's tables.
    """
    store.check_complete(session)
    size = get_head(session).size if log_size is None else log_size
    log = str(session.get_bind().engine.url)
    before = _find_kept(session, log, size)
    first = before.size if before else 0
    nodes = starmap(Node, store.load_nodes(session, size, first))
    edges = starmap(Edge, store.load_edges(session, size, first))
    graph = extend_graph(before.graph, nodes, edges) if before else build_graph(nodes, edges)
    sums = before.sums if before and before.size == size else store.sum_rows(session, size)
    _keep(_Kept(log, size, sums, graph), before)
    return graph


def _find_kept(session: Session, log: str, size: int) -> _Kept | None:
    """The largest graph of this log that is still true and does not go beyond `size`."""
    with _keeping:
        held = [item for item in _kept if item.log == log and item.size <= size]
    for item in sorted(held, key=lambda item: -item.size):
        if store.sum_rows(session, item.size) == item.sums:
            return item
    return None


def _keep(item: _Kept, before: _Kept | None) -> None:
    with _keeping:
        others = [held for held in _kept if held is not before and (held.log, held.size) != (item.log, item.size)]
        _kept[:] = [*others, item][-KEPT:]


def find_start(session: Session, reference: str, graph: Graph | None = None) -> list[int]:
    """The nodes that a reference means: one, but for samples and data sets, which may be folded into several.

    Raises:
        MalformedError: no reference.
        NotFoundError: nothing of that name is in the lineage (of `graph`, where it is given).
    """
    if not re.fullmatch(rf"[^\x00-\x1f\x7f]{{1,{MAX_REFERENCE}}}", reference):
        raise MalformedError("root: expected a reference", FieldError("root", reference[:80], EXPECTED))
    kind, _, key = reference.partition(":")
    found = _FINDERS[kind](session, key) if kind in _FINDERS and key else _guess(session, reference)
    found = [node for node in found if graph is None or node in graph.nodes]
    if not found:
        raise NotFoundError(f"nothing in the lineage is {reference!r}", FieldError("root", reference, EXPECTED))
    return found


def _node(kind: str) -> Callable[[Session, str], list[int]]:
    def find(session: Session, key: str) -> list[int]:
        row = store.find_node(session, kind, key)
        return [] if row is None else [row.id]

    return find


def _release(session: Session, key: str) -> list[int]:
    return _node("release")(session, store.find_release_id(session, key) or key)


def _sample(session: Session, key: str) -> list[int]:
    return store.list_sample_nodes(session, int(key)) if re.fullmatch(r"[0-9]{1,15}", key) else []


_FINDERS: dict[str, Callable[[Session, str], list[int]]] = {
    "model": _node("model"),
    "release": _release,
    "run": _node("run"),
    "report": _node("report"),
    "source": _node("source"),
    "sample": _sample,
    "fact-class": lambda session, key: store.list_slices(session, digest=key),
    "dataset": lambda session, key: store.list_slices(session, dataset=key),
}


def _guess(session: Session, reference: str) -> list[int]:
    for kind in ("model", "release", "run", "report", "sample", "fact-class"):
        if found := _FINDERS[kind](session, reference):
            return found
    return []
