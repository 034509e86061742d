"""One realistic set of release facts: three teachers, one of them barred, one on conditions."""

from __future__ import annotations

import hashlib
from typing import Any

from provenance.report.context import Evidence, LogState
from provenance.report.facts import (
    ClauseFact,
    DecisionFacts,
    DocumentFacts,
    ModelFacts,
    ReleaseFacts,
    RunFacts,
    TeacherGroup,
)

HOSTILE = "<script>alert(1)</script> \u202egnp.exe"


def digest(name: str) -> str:
    """A digest that differs by name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def entry(index: int, what: str) -> Evidence:
    """A log entry as evidence."""
    return Evidence(index, digest(f"entry {index}"), what)


def document(  # noqa: PLR0917 - read as a row of a table
    name: str, title: str, kind: str, ownership: str, training: str, conditions: list[ClauseFact]
) -> DocumentFacts:
    """A terms document with the clauses that every document of the catalogue has."""
    return DocumentFacts(
        id=name, title=title, version="2026-01-01", kind=kind, digest=digest(name), effective_from="2026-01-01",
        effective_to=None, verified=True,
        clauses=[
            ClauseFact("output_ownership", ownership, "3(a)", "the provider assigns outputs as long as the terms are kept", True),
            ClauseFact("train_on_outputs", training, "2(c)", "outputs may not be used to build models that compete with the provider", True),
            ClauseFact("competing_definition", "competes-with-provider", None, "no size or use threshold is given", False),
            ClauseFact("distilled_model_is_derivative", "silent", None, "the text does not say", True),
        ],
        conditions=conditions, evidence=entry(sum(name.encode()) % 17 + 4, f"terms {name}"),
    )  # fmt: skip


def group(  # noqa: PLR0917 - read as a row of a table
    teacher: str,
    route: str,
    verdict: str,
    samples: int,
    released: int,
    grade: str,
    documents: list[DocumentFacts],
    first: int,
) -> TeacherGroup:
    """The samples of one teacher."""
    return TeacherGroup(
        teacher=teacher, provider=teacher.split("/", maxsplit=1)[0], route=route, host=None if route == "weights" else "openai",
        account=None, source_dataset=None, verdict=verdict, samples=samples, released=released, tokens=samples * 356,
        first_generated_at="2026-11-24T09:00:00Z", last_generated_at="2026-11-24T09:58:00Z",
        evidence_grades={grade: samples}, human_contributions={"not recorded": samples}, prompt_origins={"human": samples},
        documents=documents, evidence=[entry(first, f"batch of {samples} samples of {teacher}")],
    )  # fmt: skip


def answer() -> dict[str, Any]:
    """The decision's answer as the contract gives it."""
    return {
        "verdict": "deny",
        "conditions": [
            {"type": "name-prefix", "requirement": "the name of a distributed student begins with “Llama”", "status": "unmet", "document": "meta-llama-3.1", "clause": "1.b.i"},
            {"type": "mau-threshold", "requirement": "a separate licence above 700 million monthly users", "status": "unknown", "document": "meta-llama-3.1", "clause": "2"},
        ],
        "reasons": [
            {"rule": "competing-model", "effect": "deny", "document": "openai-services-agreement", "clause": "3.3(e)", "route": "contract", "text": "Output may not be used to develop models that compete with the provider.", "facts": {"route": "api"}},
            {"rule": "no-terms", "effect": "review", "document": None, "clause": None, "route": "policy", "text": "No document on record covers this teacher on this day.", "facts": {}},
            {"rule": "open-licence", "effect": "permit", "document": "smollm2-apache-2.0", "clause": "2", "route": "licence", "text": "The licence puts no limit on outputs.", "facts": {}},
        ],
        "unknown": ["monthly_active_users"], "not_assessed": ["personal-data scan"],
        "policy": {"digest": digest("policy"), "packs": [{"name": "default", "digest": digest("pack")}]},
        "terms_digest": digest("terms"), "log_size": 341, "documents": [], "remedies": [], "not_legal_advice": True,
    }  # fmt: skip


def release_facts(**changes: Any) -> ReleaseFacts:
    """The facts; `changes` replace whole fields."""
    prefix = ClauseFact("name-prefix", "name-prefix", "1.b.i", "a distributed student's name begins with Llama", True)
    facts: dict[str, Any] = {
        "report_id": "rep-1", "previous_report_id": None,
        "log": LogState("provenance.example/log", 352, digest("root").partition(":")[2], "2026-11-24T10:02:11Z", [digest("k1").partition(":")[2], digest("k2").partition(":")[2]], []),
        "release": "demo@1", "state": "partial", "manifest_digest": digest("manifest"), "selected": 322, "released": 260,
        "quarantined": 62, "release_evidence": entry(343, "release demo@1"),
        "student": {"name": "acme-1b", "developer": {"name": "Acme"}, "use": "commercial", "purpose": "general-assistant", "distribution": "public-weights", "competes_with": [], "territories": ["US", "DE"]},
        "decision": DecisionFacts("dec-81fe", "2026-11-24T10:00:00Z", answer(), None, entry(342, "decision dec-81fe"), entry(3, "policy default")),
        "groups": [
            group("huggingface/smollm2-135m-instruct", "weights", "allow", 200, 200, "recorded", [document("smollm2-apache-2.0", "Apache License 2.0", "model-licence", "silent", "allowed", [])], 200),
            group("openai/gpt-4o", "api", "deny", 60, 0, "claimed", [document("openai-services-agreement", "OpenAI Services Agreement", "api-terms", "user-assigned", "prohibited-competing", [])], 261),
            group("meta/llama-3.1-8b-instruct", "weights", "allow-with-conditions", 60, 60, "claimed", [document("meta-llama-3.1", "Llama 3.1 Community License", "model-licence", "provider-claims-none", "allowed-with-conditions", [prefix])], 322),
            group(f"acme/{HOSTILE}", "reseller", "review", 2, 0, "claimed", [], 340),
        ],
        "agreements": [],
        "run": RunFacts("run-7c1f", "done", "smollm2", "sft", 600, 88_120, "CPU, 2 cores", "own process", 3.1e14, "6 x parameters x tokens", 0.003, "estimated", [entry(345, "plan of run-7c1f"), entry(349, "end of run-7c1f")]),
        "model": ModelFacts("mod-acme-1b", "acme-1b", digest("weights"), 13_172_736, "Apache-2.0", answer()["conditions"], entry(350, "model acme-1b")),
    }  # fmt: skip
    return ReleaseFacts(**{**facts, **changes})
