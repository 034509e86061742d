"""The lineage as events of OpenLineage: two for each job that has ended, START and how it ended.

| of ours | events |
|---|---|
| generation of samples | JobEvent: which teachers wrote into a data set (no run: the log knows samples, not calls) |
| building of a release | START when it was decided, COMPLETE; ABORT where policy let nothing out |
| training run | START, then COMPLETE, FAIL or ABORT (cancelled); one that goes on has only START |
| withdrawal | DatasetEvent of the release, with its lifecycle change |

- The id of a run is a UUID of version 7 made of when it began and of our id, so that whoever tells of it says the same.
- Nothing depends on the clock, on who asks or on what came later: an event that is made twice is the same event.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from provenance import __version__
from provenance.export.datasets import model_dataset, namespace_of, plain, release_dataset, samples_dataset
from provenance.export.facets import EVENT_SCHEMA, PRODUCER, standard, verdict_facet
from provenance.export.scope import WITHDRAWN, Said, Scope
from provenance.lineage.graph import Node

MEDIA_TYPE = "application/x-ndjson"
ENDS = {"end": "COMPLETE", "fail": "FAIL", "cancel": "ABORT"}
Body = dict[str, Any]


class Event(NamedTuple):
    """An event, and the entry of the log that it tells of."""

    entry: int
    body: Body


def format_openlineage(scope: Scope) -> bytes:
    """Every event in scope, one a line, in the order of the log."""
    return b"".join(orjson.dumps(event.body, option=orjson.OPT_SORT_KEYS) + b"\n" for event in list_events(scope))


def list_events(scope: Scope) -> list[Event]:
    """The events of every release, run and class of samples that was asked for, in the order of the log."""
    asked = [node for node in scope.nodes if node.id in scope.asked]
    told = [event for node in asked for event in _TELLERS.get(node.kind, _tell_nothing)(scope, node)]
    told += _tell_unreleased(scope, asked)
    return sorted(told, key=lambda event: event.entry)


def run_uuid(origin: str, identifier: str, begun_at: str) -> uuid.UUID:
    """The id that a run of ours has elsewhere.

    Source: RFC 9562, section 5.7; what is random there is taken from a digest of the log's origin and our id.
    """
    begun = dt.datetime.fromisoformat(begun_at)
    digest = hashlib.sha256(f"{origin}\n{identifier}".encode()).digest()
    number = int(begun.timestamp() * 1000) << 80 | int.from_bytes(digest[:10], "big")
    number &= ~(0xF << 76 | 0x3 << 62)
    return uuid.UUID(int=number | 0x7 << 76 | 0x2 << 62)


# --- Releases and their samples ----------------------------------------------------------------------------------


def _tell_release(scope: Scope, node: Node) -> Iterator[Event]:
    said, decision = scope.newest("release", node.key), scope.decision_of(node.key)
    if said is None or decision is None:
        return
    predicate = said.predicate
    begun, ended = decision.predicate["decided_at"], predicate.get("at") or decision.predicate["decided_at"]
    judged = samples_dataset(scope, predicate["dataset"], decision)
    parts = [scope.by_id[edge.parent] for edge in scope.parents(node.id, "released")]
    if parts:
        yield Event(said.entry, _generation(scope, predicate["dataset"], parts, judged, begun))
    run = _run(
        scope, node.key, begun, provenance_verdict=verdict_facet(scope, said, decision, "Run", predicate["state"])
    )
    job = _job(
        scope, f"release/{predicate['name']}", "RELEASE", "Lets out the samples that policy allows for a student."
    )
    selected = standard("inputStatistics", rowCount=predicate["counts"].get("selected", 0))
    shared = {"run": run, "job": job, "inputs": [{**judged, "inputFacets": {"inputStatistics": selected}}]}
    yield Event(said.entry, _event("RunEvent", begun, eventType="START", **shared, outputs=[]))
    if predicate["state"] == "blocked":
        yield Event(said.entry, _event("RunEvent", ended, eventType="ABORT", **shared, outputs=[]))
    else:
        made = _released(scope, said, decision)
        yield Event(said.entry, _event("RunEvent", ended, eventType="COMPLETE", **shared, outputs=[made]))
    yield from _tell_withdrawal(scope, node.key, said, decision)


def _released(scope: Scope, said: Said, decision: Said) -> Body:
    files = [file for file in said.predicate["files"] if "size_bytes" in file]
    counts = {"rowCount": said.predicate["counts"].get("released", 0)}
    if files:
        counts |= {"fileCount": len(files), "size": sum(file["size_bytes"] for file in files)}
    statistics = standard("outputStatistics", **counts)
    dataset = release_dataset(scope, said, decision, said.predicate["state"], "CREATE")
    return {**dataset, "outputFacets": {"outputStatistics": statistics}}


def _tell_withdrawal(scope: Scope, key: str, release: Said, decision: Said) -> Iterator[Event]:
    said = scope.newest("withdrawal", key)
    if said is not None:
        dataset = release_dataset(scope, release, decision, WITHDRAWN, "DROP")
        yield Event(said.entry, _event("DatasetEvent", said.predicate["at"], dataset=dataset))


def _tell_unreleased(scope: Scope, asked: Sequence[Node]) -> Iterator[Event]:
    """Samples that were asked for and of which no release that was asked for tells, by data set."""
    releases = {node.id for node in asked if node.kind == "release"}
    told = {edge.parent for node in releases for edge in scope.parents(node, "released")}
    left: dict[str, list[Node]] = {}
    for node in asked:
        if node.kind == "samples" and node.id not in told:
            left.setdefault(scope.labels.datasets[node.dataset_id or 0], []).append(node)
    for name, parts in left.items():
        newest = max(scope.labels.classes[node.fact_class_id or 0][2]["generated_at"] for node in parts)
        entry = min(node.entry for node in parts)
        yield Event(entry, _generation(scope, name, parts, samples_dataset(scope, name), newest))


def _generation(scope: Scope, name: str, parts: Sequence[Node], dataset: Body, at: str) -> Body:
    teachers = {edge.parent: None for node in parts for edge in scope.parents(node.id, "generated", "taken-from")}
    models = [scope.by_id[number] for number in teachers if scope.by_id[number].kind != "source"]
    job = _job(scope, f"generation/{name}", "GENERATION", "Teachers generate samples, which are recorded as they come.")
    inputs = [model_dataset(scope, node) for node in models]
    return _event("JobEvent", at, job=job, inputs=inputs, outputs=[dataset])


# --- Runs --------------------------------------------------------------------------------------------------------


def _tell_run(scope: Scope, node: Node) -> Iterator[Event]:
    phases = {said.predicate["phase"]: said for said in scope.history("run", node.key)}
    ended = next((phases[name] for name in ENDS if name in phases), None)
    begun = phases.get("start") or (phases.get("plan") if ended else None)
    if begun is None:
        return  # planned, and not begun
    plan = phases.get("plan", begun).predicate
    student = scope.student_name(plan["student"]) or str(plan["student"])
    shared = {
        "job": _job(scope, f"train/{student}", "TRAINING", f"Trains a student by recipe {plan['recipe']}."),
        "inputs": _consumed(scope, node),
    }
    run = _run(scope, node.key, begun.predicate["at"])
    first = phases.get("start") or ended or begun
    yield Event(
        first.entry, _event("RunEvent", begun.predicate["at"], eventType="START", run=run, **shared, outputs=[])
    )
    if ended is None:
        return
    said, made = ended.predicate, [scope.by_id[edge.child] for edge in scope.children(node.id, "made")]
    last = _run(scope, node.key, begun.predicate["at"], **_failure(said))
    outputs = [model_dataset(scope, model) for model in made]
    yield Event(
        ended.entry, _event("RunEvent", said["at"], eventType=ENDS[said["phase"]], run=last, **shared, outputs=outputs)
    )


def _consumed(scope: Scope, node: Node) -> list[Body]:
    found = []
    for edge in scope.parents(node.id, "trained-on", "base"):
        parent = scope.by_id[edge.parent]
        said, decision = scope.newest("release", parent.key), scope.decision_of(parent.key)
        if edge.relation == "base":
            found.append(model_dataset(scope, parent))
        elif said is not None and decision is not None:
            found.append(release_dataset(scope, said, decision, said.predicate["state"]))
    return found


def _failure(said: Mapping[str, Any]) -> Body:
    error = said.get("error")
    if not error:
        return {}
    message = str(error.get("detail") or error.get("state"))
    return {"errorMessage": standard("errorMessage", message=message, programmingLanguage="Python")}


# --- What every event has ----------------------------------------------------------------------------------------


def _event(schema: str, at: str, **more: Any) -> Body:
    return {"eventTime": at, "producer": PRODUCER, "schemaURL": f"{EVENT_SCHEMA}{schema}", **more}


def _run(scope: Scope, identifier: str, begun_at: str, **facets: Any) -> Body:
    engine = standard("processing_engine", name="provenance", version=__version__)
    told = {"processing_engine": engine, **facets}
    return {"runId": str(run_uuid(scope.origin, identifier, begun_at)), "facets": told}


def _job(scope: Scope, name: str, kind: str, text: str) -> Body:
    facets = {
        "documentation": standard("jobDocumentation", description=text),
        "jobType": standard("jobType", processingType="BATCH", integration="PROVENANCE", jobType=kind),
    }
    return {"namespace": namespace_of(scope), "name": plain(name), "facets": facets}


def _tell_nothing(_: Scope, __: Node) -> Iterator[Event]:
    return iter(())


_TELLERS: Mapping[str, Callable[[Scope, Node], Iterator[Event]]] = {"release": _tell_release, "run": _tell_run}
