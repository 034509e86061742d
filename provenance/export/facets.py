"""Facets of OpenLineage: those of the standard, and ours for teacher, terms and verdict.

Each names its schema. Ours lie in `web/static/schemas/openlineage/` and are served under `/static/`; a version never changes.

Source: OpenLineage 2-0-2, https://openlineage.io/spec; "Custom facet naming" there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from provenance import __version__
from provenance.export.names import SITE
from provenance.export.scope import Said, Scope

PRODUCER = f"{SITE}producer/{__version__}"
SPEC = "https://openlineage.io/spec/"
EVENT_SCHEMA = f"{SPEC}2-0-2/OpenLineage.json#/$defs/"
OUR_SCHEMAS = f"{SITE}static/schemas/openlineage/1-0-0/"
STANDARD = {
    "dataSource": "1-0-1/DatasourceDatasetFacet",
    "datasetDocumentation": "1-1-0/DocumentationDatasetFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
    "jobDocumentation": "1-1-0/DocumentationJobFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "lifecycleStateChange": "1-0-1/LifecycleStateChangeDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
}
Facet = dict[str, Any]


def standard(name: str, /, **values: Any) -> Facet:
    """A facet of the standard."""
    path = STANDARD[name]
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}facets/{path}.json#/$defs/{path.rpartition('/')[2]}", **values}


def _ours(name: str, kind: str, /, **values: Any) -> Facet:
    url = f"{OUR_SCHEMAS}Provenance{name}Facet.json#/$defs/Provenance{name}{kind}Facet"
    return {"_producer": PRODUCER, "_schemaURL": url, **_known(values)}


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known: other clients of the standard drop every null that they pass on."""
    return {name: value for name, value in values.items() if value is not None}


def teacher_facet(scope: Scope, decision: Said, verdicts: Sequence[str] | None = None) -> Facet:
    """Who generated the samples that a decision judged, most tokens first; with `verdicts`, those that got one of these."""
    samples: Counter[tuple[str, str, str]] = Counter()
    tokens: Counter[tuple[str, str, str]] = Counter()
    for number, verdict, count, weight in _judged(scope, decision, verdicts):
        _, teacher, facts = scope.labels.classes[number]
        key = (teacher, facts["teacher"]["route"], verdict)
        samples[key] += count
        tokens[key] += weight
    rows = [
        {"name": name, "route": route, "verdict": verdict, "samples": samples[name, route, verdict], "tokens": weight}
        for (name, route, verdict), weight in sorted(tokens.items(), key=lambda item: (-item[1], item[0]))
    ]
    return _ours("Teacher", "Dataset", teachers=rows)


def terms_facet(
    scope: Scope, decision: Said, verdicts: Sequence[str] | None = None, conditions: Sequence[Mapping[str, Any]] = ()
) -> Facet:
    """The documents that bind these samples, why some samples have none, and the conditions that are carried on."""
    bindings = [scope.binding(number) for number, *_ in _judged(scope, decision, verdicts)]
    documents = {document.id: document for binding in bindings for document in binding.documents}
    names = ("document", "clause", "type", "requirement", "status")
    return _ours(
        "Terms",
        "Dataset",
        documents=[
            {"id": key, "provider": item.provider, "title": item.title, "route": item.route, "digest": item.digest}
            for key, item in sorted(documents.items())
        ],
        unmatched=sorted({miss.text for binding in bindings for miss in binding.unmatched}),
        conditions=[_known({name: item.get(name) for name in names}) for item in conditions],
    )


def verdict_facet(scope: Scope, release: Said, decision: Said, kind: str, state: str) -> Facet:
    """What was decided about a release, by which policy and terms, and its state; `kind` is Dataset or Run."""
    said = decision.predicate
    return _ours(
        "Verdict",
        kind,
        release=release.predicate["id"],
        state=state,
        decision=said["id"],
        verdict=said["verdict"],
        action=said["action"],
        policyDigest=said["policy"].get("digest"),
        termsDigest=said["terms_digest"],
        logOrigin=scope.origin,
        logSize=said["log_size"],
        decisionEntry=decision.entry,
        releaseEntry=release.entry,
        notLegalAdvice=True,
    )


def _judged(scope: Scope, decision: Said, verdicts: Sequence[str] | None) -> list[tuple[int, str, int, int]]:
    """(class, verdict, samples, tokens) of what a decision judged."""
    rows = []
    for short, verdict, samples, tokens in decision.predicate["classes"]:
        number = scope.find_class(short)
        if number is not None and (verdicts is None or verdict in verdicts):
            rows.append((number, verdict, samples, tokens))
    return rows
