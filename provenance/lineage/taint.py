"""What binds a model: which clause of which document reached it, on which way, and whether it is met today.

The clauses are those that a decision judges (`policy.conditions`, `policy.reach`): only the way on which a document came is
told here. An exception that was used shows as lifted, with its reason, approvers and day of expiry.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError
from provenance.lineage.carry import Carried, Carrier
from provenance.lineage.graph import Graph
from provenance.lineage.load import find_start, load_graph
from provenance.lineage.shares import find_releases
from provenance.lineage.trace import Labels
from provenance.policy.conditions import judge_conditions
from provenance.policy.lifts import load_lifts
from provenance.policy.reach import HITS, read_document
from provenance.policy.situation import Situation
from provenance.policy.student import Student, parse_student
from provenance.store.log import find_statement, get_head
from provenance.terms.catalogue import Catalogue

KINDS = {
    "name-prefix": "name", "display-notice": "notice", "licence-copy": "notice", "notice-file": "notice",
    "attribution": "notice", "change-notice": "notice", "use-restriction-pass-through": "derivative",
}  # fmt: skip
TAINTED = ("restriction", "unknown")


def find_taint(
    session: Session, root: str, catalogue: Catalogue, *, today: dt.date, facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Every clause that reached a model, release or run, direct or inherited; judged for `facts`, or those declared.

    Raises:
        MalformedError: the root is several things.
        NotFoundError: nothing of that name.
    """
    graph, labels = load_graph(session), Labels(session)
    starts = find_start(session, root, graph)
    if len(starts) != 1:
        expected = "one thing: a model, run or release"
        raise MalformedError(f"root: expected {expected}", FieldError("root", root, expected))
    node = starts[0]
    people = _People(session, graph)
    carrier = Carrier(
        graph, catalogue, lambda item: labels.classes[graph.nodes[item].fact_class_id or 0][2], people.party
    )
    carrier.carry([node])
    student = parse_student(people.facts(node) if facts is None else facts, catalogue)
    items = [item for carried in carrier.held[node].values() for item in _judge(carried, student, graph, labels)]
    items.sort(key=lambda item: (item["kind"], item["document"] or "", item["clause"] or "", item["type"]))
    return {
        "root": root,
        "ref": labels.reference(graph.nodes[node]),
        "log_size": get_head(session).size,
        "tainted": any(item["kind"] in TAINTED for item in items),
        "items": items,
        "lifted_by": _list_lifts(session, graph, node, today),
    }


def mark_tainted(
    session: Session, graph: Graph, labels: Labels, nodes: Sequence[int], catalogue: Catalogue
) -> dict[int, str]:
    """`direct` or `inherited` for each model, run and release among the nodes that a restriction or an unknown reached."""
    people = _People(session, graph)
    carrier = Carrier(
        graph, catalogue, lambda item: labels.classes[graph.nodes[item].fact_class_id or 0][2], people.party
    )
    asked = [node for node in nodes if graph.nodes[node].kind in ("model", "run", "release")]
    carrier.carry(asked)
    found: dict[int, str] = {}
    for node in asked:
        student = parse_student(people.facts(node), catalogue)
        items = [item for held in carrier.held[node].values() for item in _judge(held, student, graph, labels)]
        direct = {item["direct"] for item in items if item["kind"] in TAINTED}
        if direct:
            found[node] = "direct" if True in direct else "inherited"
    return found


class _People:
    """Who trained what, from the declarations that the runs name."""

    def __init__(self, session: Session, graph: Graph) -> None:
        self.session, self.graph = session, graph

    def facts(self, node: int) -> Mapping[str, Any]:
        """The declared facts of the student that a model, run or release is of; nothing where none was declared."""
        said = self.graph.nodes[node]
        runs = [edge.parent for edge in self.graph.edges(node, "ancestors") if edge.relation == "made"]
        kind, key = ("run", self.graph.nodes[runs[0]].key) if runs else (said.kind, said.key)
        if kind not in ("run", "release"):
            return {}
        statement = find_statement(self.session, kind, key)
        student = statement and find_statement(self.session, "student", str(statement.predicate["student"]))
        return student.predicate["facts"] if student else {}

    def party(self, node: int) -> str | None:
        """The developer of a model."""
        developer = self.facts(node).get("developer")
        name = developer.get("name") if isinstance(developer, Mapping) else None
        return None if name in (None, "unknown") else str(name)


def _judge(carried: Carried, student: Student, graph: Graph, labels: Labels) -> Iterable[dict[str, Any]]:
    way = {
        "mode": carried.mode,
        "direct": sum(graph.nodes[node].kind == "run" for node in carried.path) <= 1,
        "party": carried.party,
        "path": [labels.reference(graph.nodes[node]) for node in carried.path],
        "path_text": [labels.text(graph.nodes[node]) for node in carried.path],
    }
    document = carried.document
    if document is None or carried.mode == "unknown":
        said = {"kind": "unknown", "type": "unknown", "clause": None, "text": carried.text, "status": "unknown"}
        yield {**said, "document": document.id if document else None, "route": None, **way}
        return
    shared = {"document": document.id, "route": document.route, **way}
    reading = read_document(document, student)
    if reading.stance in HITS or reading.stance == "bar-unclear":
        status = "unmet" if reading.stance in HITS else "unknown"
        finding = reading.finding
        yield {
            "kind": "restriction", "type": reading.stance, "clause": finding.clause, "text": finding.text,
            "status": status, **shared,
        }  # fmt: skip
    situation = Situation(
        student, "publish", document.models[0] if document.models else "", by_family=carried.mode == "base",
        bar_hits=reading.stance in HITS,
    )  # fmt: skip
    asked = [condition for condition in judge_conditions(document, situation) if condition.triggered]
    for condition in asked:
        kind = KINDS.get(condition.type, "condition")
        text, status = condition.requirement, condition.status
        yield {
            "kind": kind, "type": condition.type, "clause": condition.clause, "text": text, "status": status,
            "fix": dict(condition.fix), **shared,
        }  # fmt: skip
    if carried.mode in ("base", "derivative"):
        fact = document.facts["distilled_model_is_derivative"]
        clause = fact.clause if carried.mode == "derivative" else None
        text = fact.paraphrase if carried.mode == "derivative" else f"{document.title} follows the weights"
        yield {"kind": "licence", "type": carried.mode, "clause": clause, "text": text, "status": "met", **shared}


def _list_lifts(session: Session, graph: Graph, node: int, today: dt.date) -> list[dict[str, Any]]:
    """The exceptions with which the releases of this thing were decided, as far as they are in force today."""
    used: set[str] = set()
    for release in find_releases(graph, [node]):
        said = find_statement(session, "release", graph.nodes[release].key)
        decision = said and find_statement(session, "decision", said.predicate["decision"]["id"])
        used |= set(decision.predicate.get("exceptions", ())) if decision else set()
    held = {item.id: item for item in load_lifts(session, today).exceptions}
    return [
        {
            "exception": identifier,
            "in_force": identifier in held,
            "reason": held[identifier].reason if identifier in held else None,
            "approvers": [item.approver for item in held[identifier].approvals] if identifier in held else [],
            "expires_on": held[identifier].expires_on.isoformat() if identifier in held else None,
        }
        for identifier in sorted(used)
    ]
