"""The colour pairs of `app.css`, light and dark, against WCAG 2.2: 4.5 to 1 for text, 3 to 1 for borders and focus."""

from __future__ import annotations

import re

import pytest

from provenance.resources import find_resource

TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", find_resource("web", "static", "app.css").read_text()
    )
}
GROUNDS = ("bg", "surface", "sunken")
STATES = ("ok", "bad", "warn", "info")
PAIRS = [
    *((ink, ground, 4.5) for ink in ("ink", "ink-2", "link") for ground in GROUNDS),
    *((state, f"{state}-bg", 4.5) for state in (*STATES, "mute")),
    *((state, ground, 4.5) for state in STATES for ground in ("bg", "surface")),
    *(("line-2", ground, 3.0) for ground in ("bg", "surface")),
    ("bg", "ink", 4.5),
    ("focus", "bg", 3.0),
]


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "ground", "target"), PAIRS, ids=[f"{front} on {ground}" for front, ground, _ in PAIRS]
)
def test_a_colour_can_be_read_on_its_ground(front: str, ground: str, target: float, theme: int) -> None:
    brighter, darker = sorted((luminance(TOKENS[front][theme]), luminance(TOKENS[ground][theme])), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= target
