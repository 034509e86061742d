"""What the example pages are made of: one record, told by many pages."""

from __future__ import annotations

import hashlib
from typing import Any

from provenance.api.views.common import Proof, Sibling, Site
from provenance.api.views.decisions import Condition
from provenance.api.views.releases import ReleaseRow
from provenance.api.views.reports import ReportRow
from provenance.api.views.runs import RunRow
from provenance.api.views.samples import SampleFacts
from provenance.training.comparisons import Comparison, Measure

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> javascript:alert(1) \u202egnp.exe\u202c \x1b[31m nul:\x00"
)


def digest(name: str) -> str:
    """A digest that differs by name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def hexadecimal(name: str) -> str:
    """The same without its algorithm."""
    return digest(name).partition(":")[2]


SITE = Site("provenance.example/log", 352, "2026-11-24T10:02:11Z")
NO_LOG = Site("provenance.example/log", 0, None, 1, 2)

ANSWER: dict[str, Any] = {
    "verdict": "deny",
    "conditions": [
        {
            "type": "naming-prefix",
            "requirement": "the name of a distributed student begins with “Llama”",
            "status": "unmet",
            "document": "meta-llama-3.1",
            "clause": "1.b.i",
        },
        {
            "type": "attribution",
            "requirement": "“Built with Llama” is shown on a page or in the documentation",
            "status": "met",
            "document": "meta-llama-3.1",
            "clause": "1.b.i",
        },
        {
            "type": "user-threshold",
            "requirement": "a separate licence above 700 million monthly users",
            "status": "unknown",
            "document": "meta-llama-3.1",
            "clause": "2",
        },
        {
            "type": "non-commercial",
            "requirement": "research use only",
            "status": "not-triggered",
            "document": "meta-llama-3.1",
            "clause": None,
        },
    ],
    "reasons": [
        {
            "rule": "competing-model",
            "effect": "deny",
            "document": "openai-services-agreement-2026-01-01",
            "clause": "3.3(e)",
            "route": "contract",
            "text": "Output may not be used to develop models that compete with the provider; the student is a general assistant.",
            "facts": {"route": "api", "purpose": "general-assistant", "competes_with": "unknown"},
        },
        {
            "rule": "unverified-permission",
            "effect": "review",
            "document": None,
            "clause": None,
            "route": "policy",
            "text": "No document on record covers this teacher on this day.",
            "facts": {"teacher": "acme/unknown-7b"},
        },
        {
            "rule": "open-licence",
            "effect": "permit",
            "document": "huggingface-smollm2-apache-2.0",
            "clause": "2",
            "route": "licence",
            "text": "The licence puts no limit on outputs.",
            "facts": {"route": "weights"},
        },
    ],
    "documents": [
        {
            "id": "openai-services-agreement-2026-01-01",
            "title": "OpenAI Services Agreement",
            "version": "2026-01-01",
            "effective_from": "2026-01-01",
            "effective_to": None,
            "verified": True,
        },
        {
            "id": "meta-llama-3.1",
            "title": "Llama 3.1 Community License",
            "version": "3.1",
            "effective_from": "2024-07-23",
            "effective_to": None,
            "verified": False,
        },
    ],
    "unknown": ["monthly_active_users"],
    "not_assessed": ["personal-data scan", "party screening"],
    "remedies": [
        {
            "change": "drop",
            "text": "Leave out the 60 OpenAI samples",
            "verdict_after": "allow-with-conditions",
            "samples": 60,
            "tokens_share": 0.187,
        },
        {
            "change": "release_name",
            "text": "Name the student “Llama-acme-1b”",
            "verdict_after": "deny",
            "samples": None,
            "tokens_share": None,
        },
        {
            "change": "agreement",
            "text": "Record a written agreement with openai that covers training",
            "verdict_after": "review",
        },
    ],
    "policy": {"digest": digest("policy"), "packs": [{"name": "default", "digest": digest("pack")}]},
    "terms_digest": digest("terms"),
    "log_size": 341,
    "not_legal_advice": True,
}

_SET_ASIDE = {
    "type": "exception",
    "requirement": "A study for the regulator (until 2026-12-24)",
    "status": "met",
    "document": "exc_active",
    "clause": None,
}
LIFTED: dict[str, Any] = {
    **ANSWER,
    "verdict": "allow-with-conditions",
    "conditions": [*ANSWER["conditions"], _SET_ASIDE],
    "reasons": [{**reason, "lifted_by": "exc_active"} for reason in ANSWER["reasons"] if reason["effect"] != "permit"],
    "agreements": ["agr_7c1f"],
    "exceptions": ["exc_active"],
    "unknown": [],
    "remedies": [],
}
CONDITIONS = [Condition(**item) for item in ANSWER["conditions"]]
STUDENT: dict[str, Any] = {
    "name": "acme-1b",
    "developer": {"name": "Acme", "country": "US", "ultimate_parent_country": "US"},
    "base_model": None,
    "use": "commercial",
    "distribution": "public-weights",
    "purpose": "general-assistant",
    "competes_with": "unknown",
    "territories": ["US", "DE"],
    "notices": [],
    "monthly_active_users": "unknown",
}
PROOF = Proof(
    137,
    352,
    hexadecimal("leaf"),
    hexadecimal("root"),
    [Sibling("left" if 137 >> level & 1 else "right", hexadecimal(f"sibling {level}")) for level in range(8)],
)
RELEASE_ROWS = [
    ReleaseRow("demo", 1, "partial", "acme-1b", 260, 60, "2026-11-24T10:00:00Z"),
    ReleaseRow("math", 3, "blocked", "acme-1b", 0, 412, "2026-11-23T10:00:00Z"),
    ReleaseRow("math", 2, "withdrawn", "acme-0.5b", 400, 12, "2026-11-20T10:00:00Z"),
    ReleaseRow("math", 1, "allowed", "acme-0.5b", 1_204_331, 0, "2026-11-19T10:00:00Z"),
]
RUN_ROWS = [
    RunRow("run-7c1f", "running", "acme-1b", "demo@1", "sft", 312, 600, "2026-11-24T10:03:00Z"),
    RunRow("run-11ab", "done", "acme-0.5b", "math@1", "sft", 600, 600, "2026-11-19T12:00:00Z"),
    RunRow("run-02dd", "failed", "acme-0.5b", "math@1", "kd", 17, None, None),
]
REPORT_ROWS = [
    ReportRow("rep-1", "ownership-and-legality", "Ownership, legality and restriction evidence file", "release/demo@1", 352, "done", "2026-11-24T10:09:00Z"),
    ReportRow("rep-2", "ownership-and-legality", "Ownership, legality and restriction evidence file", "release/math@1", 340, "building", None),
]  # fmt: skip
COMPARISONS = [
    Comparison("Held-out perplexity", "per token", "lower", 40, Measure(9.41, 8.9, 9.93), Measure(58.2, 51.0, 66.1), Measure(17.3, 15.8, 18.9)),
    Comparison("Agreement with the teacher", "share of next tokens", "higher", 4211, Measure(1.0), Measure(0.312, 0.298, 0.326), Measure(0.524, 0.509, 0.539)),
    Comparison("Speed", "tokens/s, one thread", "higher", 40, Measure(31.2), Measure(402.0), Measure(401.0)),
    Comparison("Memory", "MB of weights", "lower", None, Measure(538.1), None, Measure(52.7)),
    Comparison("Instruction following", "share of items", "higher", 0, None, None, None),
]  # fmt: skip
LIMITS = [
    "It was trained on 234 answers: it cannot follow instructions it has not seen the like of.",
    "Agreement is measured on the teacher's own answers, not on tasks.",
    "Energy is estimated from processor time, not measured.",
]
SAMPLE_FACTS = SampleFacts(
    dataset="demo", teacher="openai/gpt-4o", provider="openai", route="api", host="openai", revision=None,
    weights_digest=None, served_model="gpt-4o-2024-08-06", role="generator", generated_at="2026-11-24T09:58:12.031Z",
    generated_in="US", account="acme", parameters={"temperature": 0.7, "top_p": 0.95, "seed": 137}, input_tokens=177,
    output_tokens=727, finish_reason="stop", request_id=HOSTILE, prompt_origin="human, CC0-1.0", source_dataset=None,
    human_contribution=None, evidence="claimed", prompt_commitment=digest("prompt"),
    completion_commitment=digest("completion"), fact_class=digest("class"), external_id="set-b/17",
    logged_at="2026-11-24T10:00:00Z", capture="cap-3", batch_index=341,
)  # fmt: skip
