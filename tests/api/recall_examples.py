"""Pages about recalls: the list, one that is open, one that was lifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from provenance.api.views.common import Link, Page
from provenance.api.views.recalls import Reached, RecallAct, RecallPage, RecallRow, RecallsPage, Told
from provenance.api.views.releases import Approval, Withdrawal
from tests.api.example_values import HOSTILE, digest


def recall_page() -> RecallPage:
    """A recall that is open: two generations were reached."""
    return RecallPage(
        id="rec_1",
        state="recall-open",
        source="teacher meta/llama-3.1-8b-instruct",
        reason=HOSTILE,
        opened_by="compliance-1",
        opened_at="2026-11-24T10:00:00Z",
        closed_by=None,
        closed_at=None,
        closing_reason=None,
        log_size=812,
        root=digest("root"),
        reach_digest=digest("reach"),
        samples=50,
        tokens=12_400,
        rows=[
            Reached(
                "Samples",
                Link("meta/llama-3.1-8b-instruct", "/samples?teacher=meta%2Fllama-3.1-8b-instruct"),
                "direct",
                0,
                "20 samples",
            ),
            Reached("Release", Link("tutor@1", "/releases/tutor@1"), "direct", 0, "from mixed", 0.25),
            Reached("Run", Link("run_1", "/runs/run_1"), "direct", 0, "end"),
            Reached("Model", Link("acme/tutor-1", "/models/mdl_1"), "direct", 0, "trained"),
            Reached("Samples", Link("acme/tutor-1", "/samples?teacher=acme%2Ftutor-1"), "inherited", 1, "30 samples"),
        ],
        acts=[
            RecallAct(
                "notify:https://hooks.acme.example/recalls",
                "done",
                "Tell https://hooks.acme.example/recalls.",
                "service",
                "2026-11-24T10:00:02Z",
                "answered 204",
            ),
            RecallAct(
                "replace-release:rel_1",
                "act-open",
                "Release tutor@1: release again what is left, and tell who has a copy.",
                None,
                None,
                None,
            ),
            RecallAct(
                "review-model:mdl_1",
                "waived",
                "Model acme/tutor-1: retrain it, retire it, or say why it may stay.",
                "counsel-1",
                "2026-11-24T11:00:00Z",
                "it never left the lab",
            ),
        ],
        told=[
            Told("https://hooks.acme.example/recalls", "sent", 1, None),
            Told(
                "mailto:owner@acme.example",
                "waiting",
                3,
                "no mail server is set: PROVENANCE_SMTP_URL and PROVENANCE_SMTP_FROM",
            ),
        ],
        entries=[Link("open, entry 812", "/log/entries/812"), Link("act, entry 813", "/log/entries/813")],
    )


_RULES = [
    Link("A release that carries conditions is approved by a second person (second-person.conditions)", "/policies")
]
TAKEN: dict[str, dict[str, Any]] = {  # what a release says that is not given out any more, or not yet
    "allowed": {"approval": Approval("awaiting", _RULES, "ada", None, None, None, None)},
    "partial": {"approval": Approval("approved", _RULES, "ada", "bob", "2026-11-24T09:00:00Z", f"seen {HOSTILE}", 811)},
    "withdrawn": {"withdrawn": Withdrawal("ann", "2026-11-24T09:00:00Z", "the filter let test questions through", 812)},
    "recalled": {"recall": "rec_0"},
}
RECALL_EXAMPLES: dict[str, tuple[str, Page]] = {
    "recalls": (
        "/recalls",
        RecallsPage(
            [
                RecallRow(
                    "rec_1", "recall-open", "teacher " + HOSTILE, "2026-11-24T10:00:00Z", "compliance-1", 4, 2, 1, 7
                ),
                RecallRow(
                    "rec_0", "upheld", "terms openai-services-2025", "2026-11-23T10:00:00Z", "counsel-1", 1, 0, 2, 2
                ),
            ]
        ),
    ),
    "recalls-new": ("/recalls", RecallsPage([])),
    "recall": ("/recalls/rec_1", recall_page()),
    "recall-lifted": (
        "/recalls/rec_1",
        replace(
            recall_page(),
            state="lifted",
            closed_by="counsel-1",
            closed_at="2026-11-24T12:00:00Z",
            closing_reason="the book was ours",
            told=[],
        ),
    ),
}
