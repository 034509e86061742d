"""What an export tells, as a value: the nodes around a root, and what the log says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from provenance.lineage.graph import Edge, Node
from provenance.lineage.trace import Labels
from provenance.store.index import CLASS_PREFIX
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import Binding, resolve_terms

WITHDRAWN, RECALLED = "withdrawn", "recalled"


class Said(NamedTuple):
    """A statement of the log and its place there."""

    entry: int
    predicate: Mapping[str, Any]


@dataclass(frozen=True)
class Scope:
    """The nodes within `depth` steps of `root`, nearest first, with every edge between two of them.

    `asked` are the nodes within that depth; a widened scope has more, so that their inputs and outputs are whole. `said`
    holds the statements about a thing by kind and id, in the order of the log; `erased` and `recalled` the releases that
    an erasure or a recall took out of use.
    """

    origin: str
    tree_root: str
    log_size: int
    root: str
    direction: str
    depth: int | None
    nodes: Sequence[Node]
    asked: frozenset[int]
    edges: Sequence[Edge]
    ringed: frozenset[frozenset[int]]
    labels: Labels
    said: Mapping[tuple[str, str], Sequence[Said]] = field(repr=False)
    catalogue: Catalogue = field(repr=False)
    erased: frozenset[str] = frozenset()
    recalled: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> Mapping[int, Node]:
        """The nodes by their ids."""
        return {node.id: node for node in self.nodes}

    def parents(self, node: int, *relations: str) -> list[Edge]:
        """The edges into a node, of these relations."""
        return [edge for edge in self._above.get(node, ()) if edge.relation in relations]

    def children(self, node: int, relation: str) -> list[Edge]:
        """The edges out of a node, of this relation."""
        return [edge for edge in self._below.get(node, ()) if edge.relation == relation]

    @cached_property
    def _above(self) -> Mapping[int, Sequence[Edge]]:
        return _group(self.edges, lambda edge: edge.child)

    @cached_property
    def _below(self) -> Mapping[int, Sequence[Edge]]:
        return _group(self.edges, lambda edge: edge.parent)

    def is_in_ring(self, edge: Edge) -> bool:
        """Whether both ends are each other's ancestors: no order in time can be told of them."""
        return any({edge.parent, edge.child} <= ring for ring in self.ringed)

    def history(self, kind: str, key: str) -> Sequence[Said]:
        """Everything that was said of a thing, in the order of the log."""
        return self.said.get((kind, key), ())

    def newest(self, kind: str, key: Any) -> Said | None:
        """What was said last of a thing; None where the log is silent."""
        history = self.history(kind, str(key))
        return history[-1] if history else None

    def release_state(self, identifier: str) -> str:
        """The state of a release as of the log size: as signed, or taken out of use since."""
        if identifier in self.recalled:
            return RECALLED
        if identifier in self.erased or self.newest("withdrawal", identifier):
            return WITHDRAWN
        said = self.newest("release", identifier)
        return str(said.predicate["state"]) if said else "unknown"

    def decision_of(self, release: str) -> Said | None:
        """The decision that a release was made of."""
        said = self.newest("release", release)
        return self.newest("decision", said.predicate["decision"]["id"]) if said else None

    def binding(self, class_id: int) -> Binding:
        """The terms that bind the samples of a class."""
        if class_id not in self._bindings:
            self._bindings[class_id] = resolve_terms(self.labels.classes[class_id][2], self.catalogue)
        return self._bindings[class_id]

    @cached_property
    def _bindings(self) -> dict[int, Binding]:
        return {}  # filled as they are asked for: one decision judges up to thousands of classes, each in several facets

    def find_class(self, short: str) -> int | None:
        """The class that a decision names by the beginning of its digest."""
        return self._classes.get(short[:CLASS_PREFIX])

    @cached_property
    def _classes(self) -> Mapping[str, int]:
        return {digest[:CLASS_PREFIX]: number for number, (digest, _, _) in self.labels.classes.items()}

    def class_verdict(self, decision: Said, node: Node) -> str | None:
        """What a decision said of the class of these samples."""
        return self._verdicts.get((decision.entry, node.fact_class_id or 0))

    @cached_property
    def _verdicts(self) -> Mapping[tuple[int, int], str]:
        decisions = (said for (kind, _), history in self.said.items() if kind == "decision" for said in history)
        return {
            (said.entry, number): verdict
            for said in decisions
            for short, verdict, *_ in said.predicate["classes"]
            if (number := self.find_class(short)) is not None
        }

    def developer(self, student: Any) -> str | None:
        """Who trains this student, as it was declared; None where nobody said."""
        said = self.newest("student", student)
        developer = said.predicate["facts"].get("developer") if said else None
        name = developer.get("name") if isinstance(developer, Mapping) else None
        return None if name in (None, "unknown") else str(name)

    def student_name(self, student: Any) -> str | None:
        """What a student is called."""
        said = self.newest("student", student)
        return str(said.predicate["facts"].get("name")) if said else None


def _group(edges: Iterable[Edge], end: Callable[[Edge], int]) -> Mapping[int, Sequence[Edge]]:
    found: dict[int, list[Edge]] = {}
    for edge in edges:
        found.setdefault(end(edge), []).append(edge)
    return found
