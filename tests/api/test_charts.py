"""Charts: geometry that can be read off the attributes, from zero, with hostile labels as text."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from provenance.api.charts import Bar, DotRow, Interval, draw_bars, draw_dots, draw_line, draw_proof


def parse(svg: str) -> ET.Element:
    assert not re.search(r"\sstyle=|\son\w+=|<script", svg)
    return ET.fromstring(svg)  # noqa: S314 - our own drawing


def points_of(svg: str) -> list[tuple[float, float]]:
    line = parse(svg).find(".//polyline")
    assert line is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]


def test_bars_start_at_zero_and_keep_their_proportions() -> None:
    root = parse(draw_bars("t", [Bar("a", 200, "200"), Bar("b", 50, "50"), Bar("c", 0, "0")]))
    widths = [bar.attrib["width"] for bar in root.iter("rect") if bar.attrib["class"] == "bar"]
    assert widths == ["100.00%", "25.00%", "0.00%"]
    assert {bar.attrib["x"] for bar in root.iter("rect")} == {"0"}


@pytest.mark.parametrize("bars", [[], [Bar("a", 0, "0")]])
def test_nothing_to_draw_is_no_error(bars: list[Bar]) -> None:
    assert parse(draw_bars("t", bars)).attrib["role"] == "img"
    assert points_of(draw_line("t", [], last_x=0, x_label="x")) == []


def test_a_chart_has_a_role_and_a_title_that_is_text() -> None:
    root = parse(draw_bars("<b>&", [Bar("<script>alert(1)</script>", 1, '"')]))
    assert root.attrib["role"] == "img"
    assert root.findtext("title") == "<b>&"
    assert root.findtext("text") == "<script>alert(1)</script>"


def test_a_line_runs_from_zero_to_the_last_planned_step() -> None:
    points = points_of(draw_line("t", [(0, 4.0), (50, 2.0), (100, 0.0)], last_x=200, x_label="step"))
    assert points == [(0.0, 0.0), (250.0, 500.0), (500.0, 1000.0)]


def test_grid_lines_carry_quarters_of_a_plain_number_at_or_above_the_highest_value() -> None:
    for highest in (0.003, 0.9, 1.0, 4.51, 9.9, 352, 123_456):
        line = parse(draw_line("t", [(1, highest)], last_x=1, x_label="x")).find(".//polyline")
        assert line is not None
        assert highest <= float(line.attrib["data-top"]) <= highest * 2


def test_dots_show_the_interval_only_where_there_is_one() -> None:
    root = parse(draw_dots("t", [DotRow("a", Interval(10), Interval(5, 4, 6))]))
    groups = {group.attrib["class"]: group for group in root.iter("g")}
    assert groups["teacher"].find("line") is None
    spread = groups["student"].find("line")
    assert spread is not None
    assert float(spread.attrib["x1"].rstrip("%")) < float(spread.attrib["x2"].rstrip("%"))


@pytest.mark.parametrize("levels", [0, 1, 20])
def test_a_proof_shows_every_sibling_on_its_side(levels: int) -> None:
    siblings = [("left" if level % 2 else "right", f"{level:064x}") for level in range(levels)]
    root = parse(draw_proof(5, 2**20, siblings))
    boxes = [group.find("rect") for group in root.iter("g") if group.attrib["class"] == "sibling"]
    drawn = [float(box.attrib["x"]) for box in boxes if box is not None]
    assert drawn == [24.0 if side == "left" else 496.0 for side, _ in siblings]
    assert f"{levels} sibling hashes" in (root.findtext("title") or "")
