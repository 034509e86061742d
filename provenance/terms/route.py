"""Routes: how an output was obtained, how a restriction travels, and the longer words that report templates use.

This is the one place where `CONTRACT`'s words meet those of `report_templates.yaml`.
"""

from __future__ import annotations

ACCESS_ROUTES = ("weights", "api", "consumer", "reseller", "dataset")
LEGAL_ROUTES = ("contract", "licence", "copyright", "statute", "policy")
ROLES = ("generator", "rewriter", "judge", "reward", "verifier")

TEMPLATE_ROLES = {
    "generator": "generator",
    "rewriter": "rewriter",
    "judge": "judge",
    "reward": "reward_model",
    "verifier": "verifier",
}

BOUND_PARTIES = {
    "account-holder": "whoever accepted the contract, that is the holder of the account",
    "holder-of-artefact": "whoever holds a copy of the weights or of what is made from them",
    "everyone": "everyone",
}


def template_route(route: str, *, own_weights: bool = False, cloud_host: bool = False) -> str:
    """The `access_route` of the report templates for a route of ours."""
    if route == "weights":
        return "first_party_weights" if own_weights else "licensed_open_weights"
    if route == "reseller":
        return "api_via_cloud" if cloud_host else "api_via_reseller"
    return {"api": "api_direct", "consumer": "api_direct", "dataset": "third_party_dataset"}.get(route, "unknown")


def template_verdict(value: str, *, verified: bool) -> str:
    """The `terms_clause_verdict` of the report templates for a `train_on_outputs` value."""
    if not verified:
        return "not_reviewed"
    return {
        "allowed": "permits",
        "allowed-with-conditions": "permits_with_obligations",
        "prohibited-competing": "prohibits",
        "prohibited-any-other-model": "prohibits",
        "silent": "silent",
    }.get(value, "not_reviewed")
