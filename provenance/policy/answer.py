"""The answer in the contract's shape, in an order that depends on nothing but its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provenance.lineage.inherited import NOTHING, Inheritance
from provenance.policy.judge import Outcome
from provenance.policy.pack import Pack
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import known

_ORDER = {"deny": 0, "review": 1, "permit": 2}


def format_answer(
    outcome: Outcome,
    sample: Mapping[str, Any],
    remedies: Sequence[Mapping[str, Any]],
    *,
    inheritance: Inheritance = NOTHING,
    catalogue: Catalogue,
    pack: Pack,
    log_size: int | None,
) -> dict[str, Any]:
    """The answer in the contract's shape, in an order that depends on nothing but its content."""
    answer = {
        "verdict": outcome.verdict,
        "conditions": [condition.to_json() for condition in outcome.conditions],
        "reasons": sorted(outcome.reasons, key=lambda r: (_ORDER[r["effect"]], r["rule"], r["document"] or "")),
        "documents": [document.summary() for document in outcome.documents],
        "unknown": outcome.unknown,
        "not_assessed": not_assessed(sample),
        "remedies": list(remedies),
        "policy": pack.describe(),
        "terms_digest": catalogue.digest,
        "log_size": log_size,
        "not_legal_advice": True,
    }
    if inheritance != NOTHING:
        answer["inherited"] = inheritance.to_json()
    if outcome.agreements:
        answer["agreements"] = list(dict.fromkeys(outcome.agreements))
    if outcome.exceptions:
        answer["exceptions"] = outcome.exceptions
    if outcome.approvals:
        answer["approval"] = outcome.approvals  # what a pack asks a second person for, before the data may be used
    return answer


def not_assessed(sample: Mapping[str, Any]) -> list[str]:
    """Facts that a what-if cannot carry and that this sample does not bring; they do not force `review`."""
    scans = known(sample.get("scans")) or {}
    missing = [] if known(sample.get("evidence")) else ["evidence-grade"]
    names = {
        "personal_data": "personal-data-scan",
        "memorisation": "memorisation-scan",
        "bulk_us_sensitive": "bulk-sensitive-data-scan",
        "quality": "quality-checks",
        "dropped_ai_label": "content-label-check",
        "listed_party": "export-screening",
    }
    missing.extend(label for name, label in names.items() if scans.get(name) not in ("clear", "found"))
    return [*missing, "manner-of-collection"]
