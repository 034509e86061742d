"""Read what an export tells: the graph around a root, and the statements about everything in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.export.scope import Said, Scope
from provenance.lineage.graph import Direction, Graph, Node
from provenance.lineage.load import find_start, load_graph
from provenance.lineage.trace import MAX_DEPTH, MAX_SHOWN, Labels, edges_between
from provenance.store.erasures import flag_releases
from provenance.store.lifts import list_histories
from provenance.store.log import get_head
from provenance.store.recalls import load_held
from provenance.terms.catalogue import Catalogue

AT_ONCE = 500  # keys of one query: SQLite takes a bounded number
Statements = dict[tuple[str, str], Sequence[Said]]


def gather(
    session: Session,
    root: str,
    direction: Direction,
    catalogue: Catalogue,
    *,
    depth: int | None = None,
    widen: bool = False,
) -> Scope:
    """Everything within `depth` steps of `root`, as the log is now. Nothing is left out of it.

    With `widen`, also what the releases, runs and samples among it were made of, and the models that the runs made.

    Raises:
        MalformedError: no reference, a depth out of range, or more things than one document holds.
        NotFoundError: nothing of that name.
    """
    if depth is not None and not 0 <= depth <= MAX_DEPTH:
        expected = f"0 to {MAX_DEPTH}"
        raise MalformedError(f"depth: expected {expected}", FieldError("depth", depth, expected))
    graph = load_graph(session)
    reached = list(graph.walk(find_start(session, root, graph), direction, depth))
    if len(reached) > MAX_SHOWN:
        expected = f"a depth within which at most {MAX_SHOWN:,} things lie"
        raise MalformedError(
            f"{len(reached):,} things are within this depth: expected {expected}", FieldError("depth", depth, expected)
        )
    return _read(session, graph, reached, catalogue, root=root, direction=direction, depth=depth, widen=widen)


def gather_things(session: Session, references: Sequence[str], catalogue: Catalogue) -> Scope:
    """These things alone, widened; what is not in the lineage is left out."""
    graph = load_graph(session)
    reached: dict[int, None] = {}
    for reference in references:
        with suppress(NotFoundError):
            reached |= dict.fromkeys(find_start(session, reference, graph))
    asked = {"root": " ".join(references), "direction": "ancestors", "depth": 0}
    return _read(session, graph, list(reached), catalogue, **asked, widen=True)


def _read(
    session: Session, graph: Graph, reached: Sequence[int], catalogue: Catalogue, *, widen: bool, **question: Any
) -> Scope:
    head, labels = get_head(session), Labels(session)
    held = _widen(graph, reached) if widen else reached
    nodes = [graph.nodes[number] for number in held]
    return Scope(
        origin=head.origin,
        tree_root=f"sha256:{head.root.hex()}",
        log_size=head.size,
        **question,
        nodes=nodes,
        asked=frozenset(reached),
        edges=list(edges_between(graph, held)),
        ringed=frozenset(frozenset(ring) for ring in graph.rings if not set(ring).isdisjoint(held)),
        labels=labels,
        said=_read_statements(session, nodes),
        catalogue=catalogue,
        erased=frozenset(flag_releases(session)),
        recalled=load_held(session).releases,
    )


def _widen(graph: Graph, reached: Sequence[int]) -> list[int]:
    """What was asked for; what its runs and releases used, and made; and the teachers of all these samples."""
    held = dict.fromkeys(reached)
    for number in reached:
        if graph.nodes[number].kind in ("run", "release"):
            held |= dict.fromkeys(edge.parent for edge in graph.edges(number, "ancestors"))
            held |= dict.fromkeys(e.child for e in graph.edges(number, "descendants") if e.relation == "made")
    for number in [number for number in held if graph.nodes[number].kind == "samples"]:
        held |= dict.fromkeys(e.parent for e in graph.edges(number, "ancestors") if e.relation == "generated")
    return list(held)


def _read_statements(session: Session, nodes: Iterable[Node]) -> Statements:
    keys: dict[str, list[str]] = {kind: [] for kind in ("model", "release", "run", "report")}
    for node in nodes:
        keys.get(node.kind, []).append(node.key)
    said: Statements = {}
    for kind, wanted in keys.items():
        _add(session, said, kind, wanted)
    _add(session, said, "withdrawal", keys["release"])
    _add(session, said, "decision", [item.predicate["decision"]["id"] for item in _of(said, "release")])
    students = [str(item.predicate["student"]) for kind in ("release", "run") for item in _of(said, kind)]
    _add(session, said, "student", students)
    return said


def _add(session: Session, said: Statements, kind: str, keys: Sequence[str]) -> None:
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), AT_ONCE):
        for key, rows in list_histories(session, kind, wanted[start : start + AT_ONCE]).items():
            said[kind, key] = [Said(row.index, row.predicate) for row in rows]


def _of(said: Statements, kind: str) -> list[Said]:
    return [item for (known, _), items in said.items() if known == kind for item in items]
