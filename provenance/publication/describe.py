"""Gather what a model's card says: of the log, of today's answer, and nothing that is in neither.

The same entries and the same answer give the same description: no day and no size of the log is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlmodel import Session

from provenance.publication.judge import Judged, list_blocking
from provenance.store.log import get_statement
from provenance.store.releases import get_release
from provenance.store.runs import get_run
from provenance.training.comparisons import fill_comparisons
from provenance.training.permit import list_trained

FORMAT = "provenance-model-card/1"
TRAINING = (
    "recipe", "seed", "steps", "tokens", "device", "backend", "isolation", "wall_seconds", "flops", "energy_kwh", "cost",
    "sample_ids_digest", "consumed", "plan_digest", "teacher_weights", "on_policy",
)  # fmt: skip


def describe_model(session: Session, model: Mapping[str, Any], judged: Judged) -> dict[str, Any]:
    """The facts of a model's card; what was not recorded is null."""
    run, release = get_run(session, model["run"]), get_release(session, model["release"])
    said, plan = run["statement"] or {}, run["plan"] or {}
    trained_on = list_trained(session, release)
    student = get_statement(session, "student", run["student"])
    return {
        "format": FORMAT,
        "published_as": judged.facts["name"],
        "notices": list(judged.facts["notices"]) if isinstance(judged.facts.get("notices"), list) else [],
        "model": {
            **{name: model[name] for name in ("id", "provider", "name", "revision", "weights_digest", "license")},
            "parameters_count": model.get("parameters_count"),
            "size_bytes": sum(file["size_bytes"] for file in model["files"]),
            "signature": model.get("signature"),
            "entry": model["entry"],
        },
        "student": {"id": run["student"], "facts": student.predicate["facts"], "entry": student.index},
        "base_model": plan.get("base_model"),
        "teachers": _list_teachers(trained_on),
        "documents": list(judged.answer["documents"]),
        "policy": judged.answer["policy"],
        "terms_digest": judged.answer["terms_digest"],
        "verdict": judged.answer["verdict"],
        "conditions": [item for item in judged.answer["conditions"] if item["status"] != "not-triggered"],
        "blocking": [] if judged.permits else list_blocking(judged.answer),
        "restrictions": [
            {
                name: item[name]
                for name in ("kind", "type", "document", "clause", "text", "status", "direct", "path_text")
            }
            for item in judged.taint["items"]
            if item["kind"] in ("restriction", "unknown", "licence")
        ],
        "exceptions": list(judged.taint["lifted_by"]),
        "data": {
            **{name: release[name] for name in ("id", "name", "version", "dataset", "manifest_digest", "entry")},
            "samples": release["counts"]["released"],
        },
        "training": {"run": run["id"], **{name: said.get(name, plan.get(name)) for name in TRAINING}},
        "scorecard": [asdict(row) for row in fill_comparisons(model.get("evaluation") or {}, model)],
        "limits": list(said.get("limits") or ()),
        "not_legal_advice": True,
    }


def _list_teachers(trained_on: Sequence[tuple[str, Mapping[str, Any], int, int]]) -> list[dict[str, Any]]:
    """Who generated what it learnt from, by route: most samples first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for _, facts, samples, tokens in trained_on:
        teacher = facts["teacher"]
        name, route = f"{teacher['provider']}/{teacher['model']}", teacher["route"]
        row = found.setdefault((name, route), {"model": name, "route": route, "samples": 0, "tokens": 0})
        row["samples"], row["tokens"] = row["samples"] + samples, row["tokens"] + tokens
    return sorted(found.values(), key=lambda row: (-row["samples"], row["model"], row["route"]))
