"""Who trained what, from the declarations that the runs name, as they stood at a log size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from provenance.lineage.graph import Graph
from provenance.store.history import find_newest


class People:
    """The declared facts of the students that models, runs and releases are of."""

    def __init__(self, session: Session, graph: Graph, log_size: int | None = None) -> None:
        self.session, self.graph, self.log_size = session, graph, log_size

    def facts(self, node: int) -> Mapping[str, Any]:
        """The declared facts of the student that a model, run or release is of; nothing where none was declared."""
        said = self.graph.nodes[node]
        runs = [edge.parent for edge in self.graph.edges(node, "ancestors") if edge.relation == "made"]
        kind, key = ("run", self.graph.nodes[runs[0]].key) if runs else (said.kind, said.key)
        if kind not in ("run", "release"):
            return {}
        statement = find_newest(self.session, kind, key, self.log_size)
        named = statement and statement.predicate["student"]
        student = named and find_newest(self.session, "student", str(named), self.log_size)
        return student.predicate["facts"] if student else {}

    def party(self, node: int) -> str | None:
        """The developer of a model."""
        developer = self.facts(node).get("developer")
        name = developer.get("name") if isinstance(developer, Mapping) else None
        return None if name in (None, "unknown") else str(name)
