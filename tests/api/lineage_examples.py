"""A realistic instance of the lineage page, hostile text included."""

from __future__ import annotations

from dataclasses import replace

from provenance.api.views.common import Link, Page
from provenance.api.views.lineage import Drawing, LiftRow, LineagePage, LineageRow, Shape, Share, TaintRow
from tests.api.example_values import HOSTILE


def lineage_page() -> LineagePage:
    shapes = [
        Shape(1, 0, 0, "model, not registered", "openai/gpt-4o", "/models/openai/gpt-4o", None),
        Shape(2, 1, 0, "samples", f"openai/gpt-4o in demo {HOSTILE}", "/samples?teacher=openai%2Fgpt-4o", None),
        Shape(3, 2, 0, "release", "tutor@1", "/releases/rel_1", "direct"),
        Shape(4, 3, 0, "run", "run_1", "/runs/run_1", "direct"),
        Shape(5, 4, 0, "model", "acme/acme-1b", "/models/mdl_1", "inherited"),
    ]
    rows = [
        LineageRow(
            item.column,
            item.kind,
            item.label,
            item.url,
            1 if item.id == 5 else None,
            item.taint,
            HOSTILE,
            {3: 0, 4: 1, 5: 12}.get(item.id),
        )  # the model
        for item in shapes
    ]
    return LineagePage(
        root="openai/gpt-4o", direction="descendants", depth=4, to="acme/acme-1b", rows=rows, total=5, left_out=0,
        more_url="/lineage?root=openai%2Fgpt-4o&dir=descendants&depth=8", other_url="/lineage?root=openai%2Fgpt-4o&dir=ancestors&depth=4",
        rings=[f"Claimed: {HOSTILE}"], drawing=Drawing(shapes, [(1, 2, "generated"), (2, 3, "released"), (3, 4, "trained-on"), (4, 5, "made")]),
        generation=1, self_made_percent=12.5, teachers=[Share("openai/gpt-4o", 900, 90.0), Share(HOSTILE, 100, 10.0)],
        legal_routes=[Share("contract", 1000, 100.0)],
        taint=[TaintRow("inherited, contract", "restriction", "openai-terms-5", "3.3(e)", HOSTILE, "unmet", "a → b"), TaintRow("direct, unknown", "unknown", None, None, "no terms", "unknown", "a", "exc_1")],
        lifts=[LiftRow("exc_1", True, ["openai-terms-5 3.3(e)", HOSTILE], HOSTILE, ["carla", "luis"], "2026-12-24"), LiftRow("exc_0", False, [], None, [], None)],
        steps=[Link("model: openai/gpt-4o", "/lineage?root=a"), Link(HOSTILE, "/lineage?root=b")],
    )  # fmt: skip


LINEAGE_EXAMPLES: dict[str, tuple[str, Page]] = {
    "lineage": ("/lineage?root=openai%2Fgpt-4o&to=acme", lineage_page()),
    "lineage-large": (
        "/lineage?root=openai%2Fgpt-4o",
        replace(lineage_page(), drawing=None, left_out=312, total=462, steps=None, to=HOSTILE, generation=None),
    ),
    "lineage-new": ("/lineage", LineagePage("", "descendants", 4, "", [], 0, 0, None, "/lineage")),
}
