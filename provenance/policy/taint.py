"""What binds a model: which clause of which document reached it, on which way, and whether it is met today.

The clauses are those that a decision judges (`policy.conditions`, `policy.reach`): only the way on which a document came is
told here. A restriction blocks by itself; the switch that lets it pass is an exception (reason, two approvers, last day), and
each clause that one sets aside names it. `blocked` says whether anything stands that none does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError
from provenance.lineage.carry import Carried, Carrier
from provenance.lineage.graph import Graph
from provenance.lineage.load import find_start, load_graph
from provenance.lineage.people import People
from provenance.lineage.shares import find_releases
from provenance.lineage.trace import Labels
from provenance.policy.conditions import judge_conditions
from provenance.policy.exception import PolicyException
from provenance.policy.lifts import load_lifts
from provenance.policy.reach import HITS, read_document
from provenance.policy.situation import Situation
from provenance.policy.student import Student, parse_student
from provenance.store.log import find_content, find_statement, get_head
from provenance.store.tables import StatementRow
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
    people = People(session, graph)
    carrier = Carrier(
        graph, catalogue, lambda item: labels.classes[graph.nodes[item].fact_class_id or 0][2], people.party
    )
    carrier.carry([node])
    student = parse_student(people.facts(node) if facts is None else facts, catalogue)
    items = [item for carried in carrier.held[node].values() for item in _judge(carried, student, graph, labels)]
    items.sort(key=lambda item: (item["kind"], item["document"] or "", item["clause"] or "", item["type"]))
    lifts = _list_lifts(session, graph, node, today)
    _mark_lifted(items, lifts)
    return {
        "root": root,
        "ref": labels.reference(graph.nodes[node]),
        "log_size": get_head(session).size,
        "tainted": any(item["kind"] in TAINTED for item in items),
        "items": items,
        "blocked": any(item["kind"] in TAINTED and item["lifted_by"] is None for item in items),
        "lifted_by": lifts,
    }


class Mark(NamedTuple):
    """What reached a thing, in short: `direct` or `inherited` where a restriction or an unknown did, and how many clauses
    only ask something of it.
    """

    taint: str | None
    clauses: int


def mark_tainted(
    session: Session, graph: Graph, labels: Labels, nodes: Sequence[int], catalogue: Catalogue
) -> dict[int, Mark]:
    """The marks of the models, runs and releases among the nodes."""
    people = People(session, graph)
    carrier = Carrier(
        graph, catalogue, lambda item: labels.classes[graph.nodes[item].fact_class_id or 0][2], people.party
    )
    asked = [node for node in nodes if graph.nodes[node].kind in ("model", "run", "release")]
    carrier.carry(asked)
    found: dict[int, Mark] = {}
    for node in asked:
        student = parse_student(people.facts(node), catalogue)
        items = [item for held in carrier.held[node].values() for item in _judge(held, student, graph, labels)]
        direct = {item["direct"] for item in items if item["kind"] in TAINTED}
        clauses = {(item["document"], item["clause"], item["type"]) for item in items if item["kind"] not in TAINTED}
        found[node] = Mark(("direct" if True in direct else "inherited") if direct else None, len(clauses))
    return found


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
        student, "publish", _origin(carried, graph), by_family=carried.mode == "base",
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


def _origin(carried: Carried, graph: Graph) -> str:
    """The model that a document is about: some conditions hold for some of a licence's models."""
    name = graph.nodes[carried.path[0]].name or ""
    return name.partition("/")[2]


def _list_lifts(session: Session, graph: Graph, node: int, today: dt.date) -> list[dict[str, Any]]:
    """The exceptions with which the releases of this thing were decided, what each set aside, and whether it holds today."""
    used: dict[str, set[tuple[str | None, str | None]]] = {}
    for release in find_releases(graph, [node]):
        said = find_statement(session, "release", graph.nodes[release].key)
        decision = said and find_statement(session, "decision", said.predicate["decision"]["id"])
        for identifier in decision.predicate.get("exceptions", ()) if decision else ():
            used.setdefault(identifier, set())
        for identifier, clause in _read_lifted(session, decision) if decision else ():
            used.setdefault(identifier, set()).add(clause)
    held = {item.id: item for item in load_lifts(session, today).exceptions}
    return [_describe_lift(identifier, used[identifier], held.get(identifier)) for identifier in sorted(used)]


def _read_lifted(session: Session, decision: StatementRow) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """Each exception that the decision's answer used, with a document and clause that it set aside."""
    content = find_content(session, decision.index) or {"classes": ()}
    for item in content["classes"]:
        for reason in item["answer"]["reasons"]:
            if "lifted_by" in reason:
                yield reason["lifted_by"], (reason["document"], reason["clause"])


def _describe_lift(
    identifier: str, clauses: Iterable[tuple[str | None, str | None]], held: PolicyException | None
) -> dict[str, Any]:
    ordered = sorted(clauses, key=lambda item: (item[0] or "", item[1] or ""))
    return {
        "exception": identifier,
        "in_force": held is not None,
        "clauses": [{"document": document, "clause": clause} for document, clause in ordered],
        "rules": sorted(held.rules) if held else [],
        "reason": held.reason if held else None,
        "approvers": [item.approver for item in held.approvals] if held else [],
        "expires_on": held.expires_on.isoformat() if held else None,
    }


def _mark_lifted(items: Iterable[dict[str, Any]], lifts: Iterable[Mapping[str, Any]]) -> None:
    """Name at each restriction the exception that sets it aside; one that has ended sets nothing aside."""
    by_clause = {
        (clause["document"], clause["clause"]): lift["exception"]
        for lift in lifts
        if lift["in_force"]
        for clause in lift["clauses"]
    }
    for item in items:
        item["lifted_by"] = by_clause.get((item["document"], item["clause"])) if item["kind"] in TAINTED else None
