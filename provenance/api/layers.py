"""A small graph as layers drawn on the server: columns by distance, rows in the order of their neighbours.

The same nodes and edges give the same picture. A link leads from each box; direct and inherited taint differ by border and
word, not by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from provenance.api.views.lineage import Drawing, Shape
from provenance.report.text import mark_plain

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 190, 54, 50, 14, 6
CHARACTERS = 24
HEAD_CHARACTERS = 30  # the line above it is set smaller
SWEEPS = 4


def place_rows(columns: Mapping[int, int], edges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The row of each node in its column: barycentre sweeps over the rows of its neighbours, ties by id."""
    layers: dict[int, list[int]] = {}
    for node, column in sorted(columns.items()):
        layers.setdefault(column, []).append(node)
    near: dict[int, list[int]] = {node: [] for node in columns}
    for parent, child in edges:
        near[parent].append(child)
        near[child].append(parent)
    rows = {node: row for layer in layers.values() for row, node in enumerate(layer)}
    for sweep in range(SWEEPS):
        for column in sorted(layers, reverse=bool(sweep % 2)):
            side = column + (1 if sweep % 2 else -1)
            weights = {}
            for node in layers[column]:
                found = [rows[other] for other in near[node] if columns[other] == side]
                weights[node] = sum(found) / len(found) if found else float(rows[node])
            layers[column].sort(key=lambda node, weights=weights: (weights[node], node))  # type: ignore[misc]  # bound now
            rows.update({node: row for row, node in enumerate(layers[column])})
    return rows


def draw_layers(drawing: Drawing) -> Markup:
    """The drawing as SVG: arrows below, boxes with their kind, label and taint above."""
    places = {shape.id: (shape.column, shape.row) for shape in drawing.shapes}
    columns = 1 + max((column for column, _ in places.values()), default=0)
    rows = 1 + max((row for _, row in places.values()), default=0)
    width = columns * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    height = rows * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    arrows = Markup("").join(_arrow(places[a], places[b], relation) for a, b, relation in drawing.arrows)
    boxes = Markup("").join(
        Markup(
            '<a href="{url}"><g class="node {taint}"><title>{kind}: {label}{said}</title>'
            '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="3"/>{inner}'
            '<text class="kind" x="{tx}" y="{ky}">{head}</text><text x="{tx}" y="{ly}">{short}</text></g></a>'
        ).format(
            url=shape.url, taint=f"tainted {shape.taint}" if shape.taint else "", kind=shape.kind, label=mark_plain(shape.label),
            said=f", tainted ({shape.taint})" if shape.taint else "", head=_head(shape),
            x=_x(shape.column), y=_y(shape.row), w=WIDTH, h=HEIGHT,
            inner=_inner(shape.column, shape.row) if shape.taint else "", tx=_x(shape.column) + 10,
            ky=_y(shape.row) + 21, ly=_y(shape.row) + 41, short=_shorten(shape.label),
        )
        for shape in drawing.shapes
    )  # fmt: skip
    return Markup(
        '<svg class="lineage" role="group" aria-label="Lineage drawn as a graph; the table below says the same" '
        'width="{w}" height="{h}" viewBox="0 0 {w} {h}">{arrows}{boxes}</svg>'
    ).format(w=width, h=height, arrows=arrows, boxes=boxes)


def _x(column: int) -> int:
    return MARGIN + column * (WIDTH + GAP_X)


def _y(row: int) -> int:
    return MARGIN + row * (HEIGHT + GAP_Y)


def _inner(column: int, row: int) -> Markup:
    """The second line of a tainted box's border."""
    return Markup('<rect class="inner" x="{x}" y="{y}" width="{w}" height="{h}" rx="2"/>').format(
        x=_x(column) + 4, y=_y(row) + 4, w=WIDTH - 8, h=HEIGHT - 8
    )


def _arrow(start: tuple[int, int], end: tuple[int, int], relation: str) -> Markup:
    x1, y1 = _x(start[0]) + WIDTH, _y(start[1]) + HEIGHT // 2
    x2, y2 = _x(end[0]), _y(end[1]) + HEIGHT // 2
    middle = (x1 + x2) // 2
    return Markup(
        '<path class="{relation}" d="M{x1} {y1} C{m} {y1} {m} {y2} {x2} {y2}"><title>{relation}</title></path>'
    ).format(relation=relation, x1=x1, y1=y1, x2=x2, y2=y2, m=middle)


def _head(shape: Shape) -> str:
    """Kind and mark, as far as the box is wide; its title says all."""
    if not shape.taint:
        return shape.kind
    whole = f"{shape.kind}, tainted ({shape.taint.partition(' ')[0]})"
    return whole if len(whole) <= HEAD_CHARACTERS else f"{shape.kind}, tainted"


def _shorten(text: str) -> str:
    cut = text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"
    return mark_plain(cut)
