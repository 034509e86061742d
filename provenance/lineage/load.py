"""Read the graph of a log size, and find in it what a caller names.

A reference is `KIND:KEY` or a bare id: `mdl_…`, `rel_…`, `run_…`, `rep_…`, `provider/name`, `release@version`, the number of
a sample's entry, or `fact-class:sha256:…`, `dataset:NAME`, `source:REF`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import starmap
from threading import Lock

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.lineage.graph import Edge, Graph, Node, build_graph
from provenance.store import lineage as store
from provenance.store.log import get_head

EXPECTED = (
    "model:ID or provider/name, release:ID or name@version, run:ID, report:ID, sample:ENTRY, fact-class:DIGEST, "
    "dataset:NAME or source:REF"
)
MAX_REFERENCE = 400
KEPT = 2  # graphs: the same log, the same rows, the same graph
_kept: dict[tuple[object, ...], Graph] = {}
_keeping = Lock()


def load_graph(session: Session, log_size: int | None = None) -> Graph:
    """The graph that the entries below `log_size` say; all of them by default.

    Raises:
        UnavailableError: the index is older than the graph's tables.
    """
    store.check_complete(session)
    head = get_head(session)
    size = head.size if log_size is None else log_size
    key = (str(session.get_bind().engine.url), head.size, head.root, size, *store.sum_rows(session))
    with _keeping:
        kept = _kept.get(key)
    if kept is not None:
        return kept
    nodes = starmap(Node, store.load_nodes(session, size))
    graph = build_graph(nodes, starmap(Edge, store.load_edges(session, size)))
    with _keeping:
        while len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = graph
    return graph


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
