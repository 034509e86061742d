"""The report's sections on access, policy, thresholds and integrity: one function a field, all pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provenance.report.facts import ReleaseFacts
from provenance.report.filled import NOT_RECORDED, UNKNOWN, Filled, group_evidence, not_recorded
from provenance.report.templates import Threshold

EU_COUNTRIES = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())


def fill_access(facts: ReleaseFacts) -> Filled:
    """US-CON/4: account and route by teacher."""
    rows = [
        {
            "teacher": group.teacher,
            "route": group.route,
            "served by": group.host or NOT_RECORDED,
            "account": "recorded, withheld here" if group.account else NOT_RECORDED,
            "samples": group.samples,
        }
        for group in facts.groups
    ]
    note = "Refusals, class of credentials and prompt extraction are not recorded; no operator attested them."
    return Filled("recorded", rows, group_evidence(facts), note=note)


def fill_acquisition(facts: ReleaseFacts) -> Filled:
    """US-TRAIN/3: how outputs and prompts were obtained."""
    rows = [
        {
            "teacher": group.teacher,
            "outputs by": group.route,
            "intermediary": group.source_dataset
            or (group.host if group.route == "reseller" else None)
            or "none recorded",
            "prompts from": ", ".join(f"{kind} ({count})" for kind, count in sorted(group.prompt_origins.items())),
        }
        for group in facts.groups
    ]
    return Filled("recorded", rows, group_evidence(facts))


def fill_mining(facts: ReleaseFacts) -> Filled:
    """EU-53-1-c/2: asked only where the student has an EU nexus."""
    territories = facts.student.get("territories", UNKNOWN)
    if isinstance(territories, list) and territories and not EU_COUNTRIES & set(territories):
        return Filled("not_applicable", None, [facts.decision.evidence], note="No EU territory is declared.")
    return not_recorded("No exception relied on and no contract term about it is recorded.")


def fill_policy(facts: ReleaseFacts) -> Filled:
    """POL/version: the policy that decided."""
    policy = facts.decision.answer.get("policy") or {}
    packs = [pack["name"] if isinstance(pack, Mapping) else pack for pack in policy.get("packs", ())]
    value = {"digest": policy.get("digest"), "packs": packs, "author": facts.decision.policy_author or NOT_RECORDED}
    return Filled("recorded", value, [facts.decision.policy_evidence or facts.decision.evidence])


def fill_rule_hits(facts: ReleaseFacts) -> Filled:
    """POL/hits: every rule that spoke."""
    rows = [
        {
            "rule": item["rule"],
            "effect": item["effect"],
            "document": item.get("document"),
            "clause": item.get("clause"),
            "route": item["route"],
            "reading": item["text"],
        }
        for item in facts.decision.answer.get("reasons", ())
    ]
    return Filled("recorded", rows, [facts.decision.evidence], note=_name_overrides(facts.decision.answer))


def _name_overrides(answer: Mapping[str, Any]) -> str:
    """Which agreements and exceptions the decision used, and which rules the latter set aside."""
    lifted: dict[str, set[str]] = {}
    for reason in answer.get("reasons", ()):
        if "lifted_by" in reason:
            lifted.setdefault(reason["lifted_by"], set()).add(reason["rule"])
    named = [f"agreement {identifier}" for identifier in answer.get("agreements", ())]
    named += [f"exception {name} set aside {', '.join(sorted(rules))}" for name, rules in sorted(lifted.items())]
    return f"Overrides: {'; '.join(named)}." if named else "No override is recorded."


def fill_provider_status(facts: ReleaseFacts, thresholds: Sequence[Threshold]) -> Filled:
    """EU-GL/status: compute of the run beside the thresholds, with its method."""
    if facts.run is None or facts.run.flops is None:
        return not_recorded("No training compute is recorded.")
    flops = facts.run.flops
    rows = [
        {
            "threshold": item.id,
            "meaning": item.meaning,
            "value": f"{item.value:.3g} {item.unit}",
            "training compute": f"{flops:.3g} FLOP",
            "share of threshold": f"{flops / item.value:.2g}",
        }
        for item in thresholds
        if item.unit == "FLOP"
    ]
    method = facts.run.flops_method or "method not recorded"
    note = f"Compute: {method}; error not recorded. Compute of the base model is not included."
    note += f" Cost by the user's prices: {facts.run.cost or 'not stated'}."
    return Filled("recorded", rows, facts.run.evidence, note=note)


def fill_chain(facts: ReleaseFacts) -> Filled:
    """INT/chain: the log as the report saw it."""
    value = {
        "log": facts.log.origin,
        "size": facts.log.size,
        "root": facts.log.root,
        "checkpoint signed": facts.log.checkpoint_at,
        "keys": list(facts.log.key_ids),
        "gaps": list(facts.log.gaps) or "none recorded",
        "outside timestamp": NOT_RECORDED,
    }
    return Filled("recorded", value, [facts.release_evidence])
