"""What goes into a job of OpenLineage and comes out of it: data sets, releases and models, each a dataset there.

- Each version is a dataset of its own (`releases/tutor@1`, `models/acme/tutor@mdl_…`), so that a model is never shown
  below what only another version of its release was made of, nor above itself.
- Names are percent-encoded where they hold anything but letters, digits and `_ . - ~ / @ : + =`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from provenance.export.facets import standard, teacher_facet, terms_facet, verdict_facet
from provenance.export.scope import Said, Scope
from provenance.lineage.graph import Node
from provenance.release.freeze import SCHEMA
from provenance.store.lineage_index import PERMITTING

Dataset = dict[str, Any]


def namespace_of(scope: Scope) -> str:
    """The namespace of everything that one log tells of."""
    return f"provenance://{quote(scope.origin, safe='/')}"


def plain(text: str) -> str:
    """A name that every backend takes."""
    return quote(text, safe="/@:+=")


def samples_dataset(scope: Scope, name: str, decision: Said | None = None) -> Dataset:
    """A data set of samples, as a decision judged it."""
    text = f"Samples that teachers generated, recorded in the log {scope.origin}."
    if decision is None:
        return _dataset(scope, f"datasets/{name}", text)
    more = {"provenance_teacher": teacher_facet(scope, decision), "provenance_terms": terms_facet(scope, decision)}
    return _dataset(scope, f"datasets/{name}", text, more)


def release_dataset(scope: Scope, release: Said, decision: Said, state: str, change: str | None = None) -> Dataset:
    """A release: its columns, version, teachers, terms and verdict; `change` is what begins or ends its life."""
    said = release.predicate
    fields = [{"name": field.name, "type": str(field.type)} for field in SCHEMA]
    text = (
        f"Samples of {said['dataset']} that policy lets a student be trained on. Manifest: {said['manifest_digest']}."
    )
    more = {
        "version": standard("version", datasetVersion=str(said["version"])),
        "schema": standard("schema", fields=fields),
        "provenance_teacher": teacher_facet(scope, decision, PERMITTING),
        "provenance_terms": terms_facet(scope, decision, PERMITTING, said["conditions"]),
        "provenance_verdict": verdict_facet(scope, release, decision, "Dataset", state),
    }
    if change is not None:
        more["lifecycleStateChange"] = standard("lifecycleStateChange", lifecycleStateChange=change)
    return _dataset(scope, f"releases/{said['name']}@{said['version']}", text, more)


def model_dataset(scope: Scope, node: Node) -> Dataset:
    """A model, registered or only named."""
    said = scope.newest("model", node.key) if node.kind == "model" else None
    if said is None:
        text = "A model that samples or runs name, and nobody registered."
        return _dataset(scope, f"models/{node.name or node.key}", text)
    predicate = said.predicate
    text = (
        f"License: {predicate['license'] or 'not declared'}. Weights: {predicate['weights_digest'] or 'not recorded'}."
    )
    more = {"version": standard("version", datasetVersion=node.key)}
    trained = [
        edge.parent for run in scope.parents(node.id, "made") for edge in scope.parents(run.parent, "trained-on")
    ]
    for number in trained:
        decision = scope.decision_of(scope.by_id[number].key)
        if decision is not None:
            more["provenance_teacher"] = teacher_facet(scope, decision, PERMITTING)
            more["provenance_terms"] = terms_facet(scope, decision, PERMITTING, predicate["conditions"])
    name = f"models/{predicate['provider']}/{predicate['name']}@{node.key}"
    return _dataset(scope, name, text, more)


def _dataset(scope: Scope, name: str, text: str, more: Mapping[str, Any] | None = None) -> Dataset:
    space = namespace_of(scope)
    facets = {
        "documentation": standard("datasetDocumentation", description=text),
        "dataSource": standard("dataSource", name=scope.origin, uri=space),
        **(more or {}),
    }
    return {"namespace": space, "name": plain(name), "facets": facets}
