"""Pages about time: a pack from proposal to force, whom changed terms hit, a decision from three standpoints."""

from __future__ import annotations

from provenance.api.views.common import Page
from provenance.api.views.compare import ComparePage, Difference, Standpoint
from provenance.api.views.policies import FlipCount, FlipRow, PackStatement, PolicyPage, RuleChange
from provenance.api.views.sources import ImpactPage, TermsText
from tests.api.diff_examples import DIFF_EXAMPLES
from tests.api.example_values import HOSTILE, digest

HISTORY = [
    PackStatement("pol_1f2e", "approved", "Ada " + HOSTILE, "bob", "2026-11-24T11:00:00Z", 9, 3, True),
    PackStatement("pol_1f2e", "proposed", "Ada", None, "2026-11-24T10:00:00Z", 7, 3, False),
    PackStatement("pol_0000", "shipped", None, None, None, 5, None, False),
]  # fmt: skip
TOTALS = [FlipCount("deny", "review", 2, 58, 20_241), FlipCount("allow", "deny", 1, 200, 71_204)]
FLIPS = [
    FlipRow("dec-81fe", "demo", "acme-1b", "train", "openai/gpt-4o", "deny", "review", 2, 58, ["demo@1"], ["terms.no-explicit-permission"]),
    FlipRow("dec-81ff", HOSTILE, "acme-1b", "train", HOSTILE, "allow", "deny", 1, 200, [], []),
]  # fmt: skip
COMPARE = ComparePage(
    "dec-81fe", "2026-11-24T10:00:00Z", "2026-11-25",
    [
        Standpoint("As it was known then", "allow", ["openai-terms-4"], digest("t1"), digest("policy"), 341),
        Standpoint("As it is known today", "deny", ["openai-terms-4", "openai-terms-5"], digest("t2"), digest("policy"), 399),
        Standpoint("By the terms of today", "review", [], None, None, None),
    ],
    [
        Difference("As it was known then → as it is known today", ["The verdict is deny and was allow.", HOSTILE], TOTALS),
        Difference("As it is known today → by the terms of today", [], []),
    ],
)  # fmt: skip


def policy_page(state: str) -> PolicyPage:
    """A pack that is wanted, in force, or came with the software."""
    shipped = state == "shipped"
    return PolicyPage(
        id="pol_1f2e", digest=digest("pack"), state=state, in_force=state == "approved", author="Ada " + HOSTILE,
        proposed_by=None if shipped else "ada", approver="bob" if state == "approved" else None,
        recorded_at=None if shipped else "2026-11-24T10:00:00Z", entry_index=7, cases=None if shipped else 270,
        decisions=None if shipped else 4, replay_digest=None if shipped else digest("replay"),
        replay_size=None if shipped else 341, not_replayed=0 if shipped else 1, totals=[] if shipped else TOTALS,
        flips=[] if shipped else FLIPS, replaces=None if shipped else digest("before"),
        changes=[] if shipped else [RuleChange("terms.new", "new", None, "forbid(principal, action, resource);"), RuleChange("terms.gone", "gone", HOSTILE, None), RuleChange("terms.other", "changed", "permit(principal, action, resource);", "forbid(principal, action, resource);")],
    )  # fmt: skip


def impact_page(*, changed: bool) -> ImpactPage:
    """A document that was recorded anew, or for the first time."""
    return ImpactPage(
        id="openai-terms-5", provider="openai", entry_index=12, recorded_at="2026-11-24T10:00:00Z" if changed else None,
        recorded_by="ada" if changed else None, samples=60, releases=["demo@1"] if changed else [],
        students=["acme-1b", HOSTILE] if changed else [], changed=["openai-terms-5", "provider:openai"] if changed else ["openai-terms-5"],
        changes=[TermsText("train on outputs: allowed -> prohibited-competing " + HOSTILE, True), TermsText("title: a -> b", False)] if changed else [],
        decisions=4 if changed else None, not_replayed=1 if changed else 0, totals=TOTALS if changed else [], flips=FLIPS if changed else [],
    )  # fmt: skip


TIME_EXAMPLES: dict[str, tuple[str, Page]] = {
    "policy": ("/policies/pol_1f2e", policy_page("proposed")),
    "policy-approved": ("/policies/pol_1f2e", policy_page("approved")),
    "policy-shipped": ("/policies/pol_1f2e", policy_page("shipped")),
    "impact": ("/terms/openai-terms-5/impact", impact_page(changed=True)),
    "impact-first": ("/terms/openai-terms-5/impact", impact_page(changed=False)),
    **DIFF_EXAMPLES,
    "compare": ("/decisions/dec-81fe/compare", COMPARE),
}
