"""Read what an export tells: the graph around a root, and the statements about everything in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError
from provenance.export.scope import Said, Scope
from provenance.lineage.graph import Direction, Node
from provenance.lineage.load import find_start, load_graph
from provenance.lineage.trace import MAX_DEPTH, MAX_SHOWN, Labels, edges_between
from provenance.store.erasures import flag_releases
from provenance.store.lifts import list_histories
from provenance.store.log import get_head
from provenance.store.recalls import load_held
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import Binding, resolve_terms

AT_ONCE = 500  # keys of one query: SQLite takes a bounded number
Statements = dict[tuple[str, str], Sequence[Said]]


def gather(
    session: Session, root: str, direction: Direction, catalogue: Catalogue, *, depth: int | None = None
) -> Scope:
    """Everything within `depth` steps of `root`, as the log is now. Nothing is left out of it.

    Raises:
        MalformedError: no reference, a depth out of range, or more things than one document holds.
        NotFoundError: nothing of that name.
    """
    if depth is not None and not 0 <= depth <= MAX_DEPTH:
        expected = f"0 to {MAX_DEPTH}"
        raise MalformedError(f"depth: expected {expected}", FieldError("depth", depth, expected))
    head, graph, labels = get_head(session), load_graph(session), Labels(session)
    reached = list(graph.walk(find_start(session, root, graph), direction, depth))
    if len(reached) > MAX_SHOWN:
        expected = f"a depth within which at most {MAX_SHOWN:,} things lie"
        raise MalformedError(
            f"{len(reached):,} things are within this depth: expected {expected}", FieldError("depth", depth, expected)
        )
    nodes = [graph.nodes[number] for number in reached]
    held = frozenset(reached)
    return Scope(
        origin=head.origin,
        tree_root=f"sha256:{head.root.hex()}",
        log_size=head.size,
        root=root,
        direction=direction,
        depth=depth,
        nodes=nodes,
        edges=list(edges_between(graph, reached)),
        ringed=frozenset(frozenset(ring) for ring in graph.rings if held & set(ring)),
        labels=labels,
        said=_read_statements(session, nodes),
        bindings=_bind(nodes, labels, catalogue),
        erased=frozenset(flag_releases(session)),
        recalled=load_held(session).releases,
    )


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


def _bind(nodes: Iterable[Node], labels: Labels, catalogue: Catalogue) -> Mapping[int, Binding]:
    classes = {node.fact_class_id for node in nodes if node.fact_class_id is not None}
    return {number: resolve_terms(labels.classes[number][2], catalogue) for number in sorted(classes)}
