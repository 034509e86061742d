"""The page of a lineage: parse, walk, fill the view. Nothing is drawn that the table does not say."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response

from provenance.api.layers import place_rows
from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.views.common import Link
from provenance.api.views.lineage import Drawing, LiftRow, LineagePage, LineageRow, Shape, Share, TaintRow
from provenance.lineage.graph import Edge, Graph, Step
from provenance.lineage.load import find_start, load_graph
from provenance.lineage.shares import list_generations, weigh_teachers
from provenance.lineage.trace import Labels, check_direction, edges_between, list_rings, trace_path
from provenance.policy.taint import find_taint, mark_tainted
from provenance.store.recalls import load_held

router = APIRouter()
SHAPES = 150
DEFAULT_DEPTH, DEEPEST = 4, 1000
URLS = {"model": "/models/", "name": "/models/", "release": "/releases/", "run": "/runs/", "report": "/reports/"}
KINDS = {"name": "model, not registered", "source": "data set of others", "outside": "not on record"}
Text = Annotated[str, Query(max_length=400)]


@add_page(router, "/lineage", "json", "csv")
def show_lineage(
    asked: PageDep,
    root: Text = "",
    direction: Annotated[str, Query(alias="dir")] = "descendants",
    depth: Annotated[int, Query(ge=1, le=DEEPEST)] = DEFAULT_DEPTH,
    to: Text = "",
) -> Response:
    """What `root` was made from, or what was made of it; with `to`, the way between the two."""
    way = check_direction(direction)
    if not root:
        return asked.answer(LineagePage("", direction, depth, "", [], 0, 0, None, "/lineage"))
    graph, labels = load_graph(asked.session), Labels(asked.session)
    starts = find_start(asked.session, root, graph)
    reached = graph.walk(starts, way, depth)
    shown = list(reached)[:SHAPES]
    marks = mark_tainted(asked.session, graph, labels, shown, asked.runtime.catalogue)
    taint = {number: mark.taint for number, mark in marks.items() if mark.taint is not None}
    taint |= _mark_recalled(asked, graph, labels, shown)
    edges = list(edges_between(graph, shown))
    models = [number for number in shown if graph.nodes[number].kind == "model"]
    generations = list_generations(graph, models)
    rows = [
        replace(
            _fill_row(graph, labels, number, reached[number], generations),
            taint=taint.get(number),
            clauses=marks[number].clauses if number in marks else None,
        )
        for number in shown
    ]
    further = len(graph.walk(starts, way, depth + 1)) > len(reached)
    other = "ancestors" if way == "descendants" else "descendants"
    page = LineagePage(
        root=root,
        direction=direction,
        depth=depth,
        to=to,
        rows=rows,
        total=len(reached),
        left_out=len(reached) - len(shown),
        more_url=_url(root, direction, min(depth * 2, DEEPEST)) if further else None,
        other_url=_url(root, other, depth),
        rings=[
            f"{'Claimed' if ring['claimed'] else 'Folded samples'}: {', '.join(ring['members'])}"
            for ring in list_rings(graph, labels, shown)
        ],
        drawing=_draw(graph, labels, shown, reached, edges, taint, turned=way == "ancestors"),
        steps=_fill_steps(asked, root, to) if to else None,
        **_fill_root(asked, graph, starts, root),
    )
    return asked.answer(page)


def _url(root: str, direction: str, depth: int) -> str:
    return "/lineage?" + urlencode({"root": root, "dir": direction, "depth": depth})


def _mark_recalled(asked: Asked, graph: Graph, labels: Labels, shown: list[int]) -> dict[int, str]:
    """What a recall in force holds back: that comes before any clause."""
    held = load_held(asked.session)
    by_kind = {"release": held.releases, "run": held.runs, "model": held.models}
    found: dict[int, str] = {}
    for number in shown:
        node = graph.nodes[number]
        if node.kind == "samples":
            part = labels.datasets[node.dataset_id or 0], labels.classes[node.fact_class_id or 0][0]
            recall = held.classes.get(part)
        else:
            recall = by_kind.get(node.kind, {}).get(node.key)
        if recall is not None:
            found[number] = f"recall {recall}"
    return found


def _fill_row(graph: Graph, labels: Labels, number: int, step: Step, generations: dict[int, int]) -> LineageRow:
    node = graph.nodes[number]
    via = step.via
    other = None if via is None else via.parent if via.child == number else via.child
    said = "start" if via is None or other is None else f"{via.relation}: {labels.text(graph.nodes[other])}"
    generation = generations.get(number) if node.kind == "model" else None
    return LineageRow(
        step.distance,
        KINDS.get(node.kind, node.kind),
        labels.text(node),
        _node_url(labels, node),
        generation,
        None,
        said,
    )


def _node_url(labels: Labels, node: Any) -> str:
    if node.kind in URLS:
        return URLS[node.kind] + quote(node.key, safe="@/")
    if node.kind == "samples":
        return "/samples?" + urlencode({"teacher": labels.classes[node.fact_class_id or 0][1]})
    return "/lineage?" + urlencode({"root": labels.reference(node)}) if node.kind == "source" else "/samples"


def _draw(
    graph: Graph,
    labels: Labels,
    shown: list[int],
    reached: dict[int, Step],
    edges: list[Edge],
    taint: dict[int, str],
    *,
    turned: bool,
) -> Drawing | None:
    if len(reached) > SHAPES:
        return None
    deepest = max(reached[number].distance for number in shown)
    columns = {n: deepest - reached[n].distance if turned else reached[n].distance for n in shown}
    folds = _fold_samples(graph, labels, columns, edges, taint)
    first = {member: members[0] for members in folds for member in members}
    arrows = dict.fromkeys((first[edge.parent], first[edge.child], edge.relation) for edge in edges)
    rows = place_rows({members[0]: columns[members[0]] for members in folds}, [arrow[:2] for arrow in arrows])
    shapes = []
    for number, *others in folds:
        node = graph.nodes[number]
        kind = KINDS.get(node.kind, node.kind)
        kind += f", {len(others) + 1} classes" if others else ""
        place = (number, columns[number], rows[number])
        shapes.append(Shape(*place, kind, labels.text(node), _node_url(labels, node), taint.get(number)))
    return Drawing(shapes, list(arrows))


def _fold_samples(
    graph: Graph, labels: Labels, columns: dict[int, int], edges: list[Edge], taint: dict[int, str]
) -> list[list[int]]:
    """Nodes that are drawn as one: classes of samples with one name, mark, column and the same neighbours."""
    parents: dict[int, set[tuple[int, str]]] = {}
    children: dict[int, set[tuple[int, str]]] = {}
    for edge in edges:
        parents.setdefault(edge.child, set()).add((edge.parent, edge.relation))
        children.setdefault(edge.parent, set()).add((edge.child, edge.relation))
    folds: dict[Any, list[int]] = {}
    for number, column in columns.items():
        node, ends = graph.nodes[number], (parents.get(number, ()), children.get(number, ()))
        alike = (
            (labels.text(node), taint.get(number), column, *map(frozenset, ends)) if node.kind == "samples" else number
        )
        folds.setdefault(alike, []).append(number)
    return list(folds.values())


def _fill_steps(asked: Asked, root: str, to: str) -> list[Link] | None:
    found = trace_path(asked.session, root, to)
    if found["steps"] is None:
        return None
    return [
        Link(f"{node['kind']}: {node['label']}", _url(node["ref"], "descendants", DEFAULT_DEPTH))
        for node in found["nodes"]
    ]


def _fill_root(asked: Asked, graph: Graph, starts: list[int], root: str) -> dict[str, Any]:
    """Shares and clauses of a root that can be trained or released; nothing for the rest."""
    if len(starts) != 1 or graph.nodes[starts[0]].kind not in ("model", "run", "release"):
        return {}
    catalogue = asked.runtime.catalogue
    shares = weigh_teachers(asked.session, root, catalogue)
    taint = find_taint(asked.session, root, catalogue, today=asked.runtime.clock().date())
    own = shares["self_made_share"]
    return {
        "generation": shares["generation"],
        "self_made_percent": None if own is None else 100 * own,
        "teachers": _fill_shares(shares["teachers"]),
        "legal_routes": _fill_shares(shares["legal_routes"]),
        "taint": [
            TaintRow(
                f"{'direct' if item['direct'] else 'inherited'}, {item['mode']}", item["kind"], item["document"],
                item["clause"], item["text"], item["status"], " → ".join(item["path_text"]), item["lifted_by"],
            )
            for item in taint["items"]
        ],
        "lifts": [
            LiftRow(
                item["exception"], item["in_force"],
                [" ".join(filter(None, clause.values())) or "our policy" for clause in item["clauses"]],
                item["reason"], item["approvers"], item["expires_on"],
            )
            for item in taint["lifted_by"]
        ],
    }  # fmt: skip


def _fill_shares(items: list[dict[str, Any]]) -> list[Share]:
    return [Share(item["name"], item["tokens"], 100 * (item["share"] or 0.0)) for item in items]
