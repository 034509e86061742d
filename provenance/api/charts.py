"""Charts drawn on the server as SVG: classes and attributes only, so that no style is needed.

- Every chart has `role="img"` and a `<title>`; the page shows the same numbers as a table under it.
- Value axes start at zero. Widths are per cent and heights pixels, so that text keeps its size on a narrow screen.
- The loss plot carries its scale in `data-` attributes: `live.js` adds points to it without drawing anything anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

PLOT_UNITS = 1000
"""The plot area's own coordinates run from 0 to this on both axes."""

PLOT_HEIGHT = 280
BAR_HEIGHT = 60
ROW_HEIGHT = 44
LABEL_CHARACTERS = 38
"""What fits beside a margin on a screen of 320 pixels; the table under the chart has the whole name."""


@dataclass(frozen=True)
class Bar:
    """One bar: `label` names it, `text` is its value in words."""

    label: str
    value: float
    text: str


@dataclass(frozen=True)
class Interval:
    """A measured value and the bounds of its interval, where one was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class DotRow:
    """One row of a dot plot: teacher and student on the same scale."""

    label: str
    teacher: Interval
    student: Interval


def draw_bars(title: str, bars: Sequence[Bar]) -> Markup:
    """Horizontal bars from zero, each between its label and its value."""
    highest = max((bar.value for bar in bars), default=0) or 1
    rows = Markup("").join(
        Markup(
            '<text class="label" x="0" y="{y}">{label}</text><rect class="track" x="0" y="{bar}" width="100%" height="10"/>'
            '<rect class="bar" x="0" y="{bar}" width="{width:.2f}%" height="10"/>'
            '<text class="value" x="0" y="{below}">{text}</text>'
        ).format(
            y=BAR_HEIGHT * row + 14,
            bar=BAR_HEIGHT * row + 21,
            below=BAR_HEIGHT * row + 47,
            label=_shorten(bar.label),
            text=bar.text,
            width=100 * bar.value / highest,
        )
        for row, bar in enumerate(bars)
    )
    return _svg("bars", title, BAR_HEIGHT * max(1, len(bars)), rows)


def draw_line(
    title: str, points: Sequence[tuple[float, float]], *, last_x: float, x_label: str, highest: float | None = None
) -> Markup:
    """A line plot from zero on both axes; `last_x` is where the x axis ends, be it reached or not yet."""
    top = _round_up(highest or max((y for _, y in points), default=0) or 1)
    right = max(last_x, max((x for x, _ in points), default=0)) or 1
    line = " ".join(f"{_scale(x, right):.1f},{PLOT_UNITS - _scale(y, top):.1f}" for x, y in points)
    grid = Markup("").join(
        Markup(
            '<line class="grid" x1="0" x2="100%" y1="{y:.1f}%" y2="{y:.1f}%"/>'
            '<text class="tick" x="-8" y="{y:.1f}%" dy="4" text-anchor="end">{text}</text>'
        ).format(y=100 - 25 * step, text=f"{top * step / 4:.3g}")
        for step in range(5)
    )
    ticks = Markup("").join(
        Markup('<text class="tick" x="{x}%" y="100%" dy="20" text-anchor="{anchor}">{text}</text>').format(
            x=50 * step, anchor=("start", "middle", "end")[step], text=f"{right * step / 2:,.0f}"
        )
        for step in range(3)
    )
    body = Markup(
        '{grid}{ticks}<text class="axis" x="100%" y="100%" dy="40" text-anchor="end">{x_label}</text>'
        '<svg width="100%" height="100%" viewBox="0 0 {units} {units}" preserveAspectRatio="none">'
        '<polyline points="{line}" data-right="{right:g}" data-top="{top:g}"/></svg>'
    ).format(grid=grid, ticks=ticks, x_label=x_label, units=PLOT_UNITS, line=line, right=right, top=top)
    return _svg("plot", title, PLOT_HEIGHT, body)


def draw_dots(title: str, rows: Sequence[DotRow]) -> Markup:
    """Teacher (ring) and student (dot) per row, from zero to the row's own highest value, with intervals as lines."""
    return _svg(
        "dots",
        title,
        ROW_HEIGHT * max(1, len(rows)),
        Markup("").join(_draw_dot_row(ROW_HEIGHT * number, row) for number, row in enumerate(rows)),
    )


def _draw_dot_row(top: int, row: DotRow) -> Markup:
    bounds = [bound for of in (row.teacher, row.student) for bound in (of.value, of.low, of.high) if bound is not None]
    highest = (max(bounds) or 1) * 1.04
    marks = Markup("").join(
        _draw_interval(kind, of, highest, top + 30) for kind, of in (("teacher", row.teacher), ("student", row.student))
    )
    return Markup(
        '<text class="label" x="0" y="{text_y}">{label}</text><line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>{marks}'
    ).format(text_y=top + 16, label=_shorten(row.label), y=top + 30, marks=marks)


def _draw_interval(kind: str, of: Interval, highest: float, y: int) -> Markup:
    spread = Markup("")
    if of.low is not None and of.high is not None:
        spread = Markup('<line class="spread" x1="{:.2f}%" x2="{:.2f}%" y1="{y}" y2="{y}"/>').format(
            100 * of.low / highest, 100 * of.high / highest, y=y
        )
    dot = Markup('<circle cx="{:.2f}%" cy="{}" r="5"/>').format(100 * of.value / highest, y)
    return Markup('<g class="{}">{}{}</g>').format(kind, spread, dot)


def draw_proof(index: int, size: int, siblings: Sequence[tuple[str, str]]) -> Markup:
    """An inclusion proof, root on top: the entry's own path in the middle, each sibling on its side.

    Args:
        siblings: (side, hash in hexadecimal), lowest first; side is "left" or "right".
    """
    levels = len(siblings)
    parts: list[Markup] = []
    for level, (side, digest) in enumerate(siblings):
        y = 38 * (levels - level)
        x = 24 if side == "left" else 496
        parts.append(
            Markup(
                '<line x1="360" y1="{up}" x2="360" y2="{y}"/><line x1="360" y1="{up}" x2="{middle}" y2="{y}"/>'
            ).format(up=y - 12, y=y, middle=x + 100)
        )
        parts.append(_draw_node("sibling", x, y, digest[:18] + "…"))
        name = f"entry {index:,}" if level == 0 else f"level {level}"
        parts.append(_draw_node("own" if level == 0 else "on", 260, y, name))
    parts.append(_draw_node("own", 260, 0, f"signed root of {size:,}"))
    title = f"Inclusion proof of entry {index:,} in the log of {size:,} entries: {levels} sibling hashes lead to the signed root"
    return Markup(
        '<svg class="proof" role="img" viewBox="0 0 720 {height}"><title>{title}</title>{parts}</svg>'
    ).format(height=38 * levels + 28, title=title, parts=Markup("").join(parts))


def _draw_node(kind: str, x: int, y: int, text: str) -> Markup:
    return Markup(
        '<g class="{kind}"><rect x="{x}" y="{y}" width="200" height="26"/>'
        '<text x="{middle}" y="{base}" text-anchor="middle">{text}</text></g>'
    ).format(kind=kind, x=x, y=y + 1, middle=x + 100, base=y + 18, text=text)


def _svg(kind: str, title: str, height: int, body: Markup) -> Markup:
    return Markup(
        '<svg class="chart {kind}" role="img" width="100%" height="{height}"><title>{title}</title>{body}</svg>'
    ).format(kind=kind, height=height, title=title, body=body)


def _shorten(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else label[: LABEL_CHARACTERS - 1] + "…"


def _scale(value: float, highest: float) -> float:
    return PLOT_UNITS * min(max(value / highest, 0.0), 1.0)


def _round_up(value: float) -> float:
    """The next value whose quarters are plain numbers, as the four grid lines carry them."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 4.8, 6, 8, 10) if step * power >= value)
