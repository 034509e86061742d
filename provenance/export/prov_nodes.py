"""Each node of the lineage as PROV records: the entity, the activity that made it, and who answers for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provenance.export.names import local_name
from provenance.export.records import Records, ours, qualified
from provenance.export.scope import Said, Scope
from provenance.lineage.graph import Node
from provenance.store.lineage import normal_name

COLLECTION, PERSON, ORGANIZATION, SOFTWARE = (
    qualified(f"prov:{name}") for name in ("Collection", "Person", "Organization", "SoftwareAgent")
)
ENDED = ("end", "fail", "cancel")


def local_of(scope: Scope, node: Node) -> str:
    """The local name of a node: by its id or name, and samples by the entry with which their class began."""
    if node.kind == "samples":
        return local_name("samples", scope.labels.datasets[node.dataset_id or 0], str(node.entry))
    return local_name(node.kind, str(node.entry) if node.kind == "outside" else node.key)


def making_of(scope: Scope, node: Node) -> str:
    """The local name of the activity that made the thing of a node."""
    verbs = {"samples": "generation", "release": "build", "report": "reporting"}
    return f"{verbs[node.kind]}-{local_of(scope, node).partition('-')[2]}"


def service_of(scope: Scope, records: Records) -> str:
    """The service that keeps the log, which builds, trains and reports."""
    return records.add("agent", local_name("service", scope.origin), prov_type=[SOFTWARE], prov_label=scope.origin)


def organization(records: Records, name: str) -> str:
    """A provider, developer or account holder; two writings of one name are one agent."""
    return records.add(
        "agent", local_name("organization", normal_name(name)), prov_type=[ORGANIZATION], prov_label=name
    )


def tell_node(scope: Scope, records: Records, node: Node) -> None:
    """Tell of one node."""
    _TELLERS[node.kind](scope, records, node)


def _tell_model(scope: Scope, records: Records, node: Node) -> None:
    said = scope.newest("model", node.key)
    predicate: Mapping[str, Any] = said.predicate if said else {}
    name = f"{predicate['provider']}/{predicate['name']}" if said else node.name or node.key
    model = records.add(
        "entity",
        local_of(scope, node),
        prov_type=[qualified(ours("Model"))],
        prov_label=name,
        entry=node.entry,
        identifier=node.key,
        revision=predicate.get("revision"),
        digest=predicate.get("weights_digest"),
        license=predicate.get("license"),
        kind=predicate.get("kind"),
        conditions=[_condition(item) for item in predicate.get("conditions", ())],
    )
    if said:
        records.relate("wasAttributedTo", {"entity": model, "agent": organization(records, predicate["provider"])})


def _tell_name(scope: Scope, records: Records, node: Node) -> None:
    name = records.add(
        "entity",
        local_of(scope, node),
        prov_type=[qualified(ours("UnregisteredModel"))],
        prov_label=node.name or node.key,
        entry=node.entry,
    )
    provider, slash, _ = node.key.partition("/")
    if slash and provider:
        records.relate("wasAttributedTo", {"entity": name, "agent": organization(records, provider)})


def _tell_samples(scope: Scope, records: Records, node: Node) -> None:
    said = scope.labels.node(node)
    facts = scope.labels.classes[node.fact_class_id or 0][2]
    binding = scope.binding(node.fact_class_id or 0)
    samples = records.add(
        "entity",
        local_of(scope, node),
        prov_type=[qualified(ours("Samples")), COLLECTION],
        prov_label=said["label"],
        entry=node.entry,
        digest=said["fact_class"],
        teacher=said["teacher"],
        route=said["route"],
        samples=node.samples,
        tokens=node.tokens,
        evidence=facts.get("evidence"),
        generatedOn=facts["generated_at"][:10],
        terms=[document.id for document in binding.documents],
        termsUnknown=[miss.text for miss in binding.unmatched],
    )
    dataset = records.add(
        "entity",
        local_name("dataset", said["dataset"]),
        prov_type=[qualified(ours("Dataset")), COLLECTION],
        prov_label=said["dataset"],
    )
    records.relate("hadMember", {"collection": dataset, "entity": samples})
    generation = records.add("activity", making_of(scope, node), prov_type=[qualified(ours("Generation"))])
    records.relate("wasGeneratedBy", {"entity": samples, "activity": generation})
    holder = (facts.get("account") or {}).get("holder")
    if holder and holder != "unknown":
        ends = {"activity": generation, "agent": organization(records, holder)}
        records.relate("wasAssociatedWith", ends, prov_role=[qualified(ours("accountHolder"))])


def _tell_release(scope: Scope, records: Records, node: Node) -> None:
    said, decision = scope.newest("release", node.key), scope.decision_of(node.key)
    if said is None or decision is None:
        return
    predicate = said.predicate
    name = f"{predicate['name']}@{predicate['version']}"
    release = records.add(
        "entity",
        local_of(scope, node),
        prov_type=[qualified(ours("Release")), COLLECTION],
        prov_label=name,
        entry=said.entry,
        identifier=node.key,
        digest=predicate["manifest_digest"],
        state=scope.release_state(node.key),
        signedState=predicate["state"],
        verdict=decision.predicate["verdict"],
        dataset=predicate["dataset"],
        student=scope.student_name(predicate["student"]),
        selected=predicate["counts"].get("selected"),
        released=predicate["counts"].get("released"),
        quarantined=predicate["counts"].get("quarantined"),
        conditions=[_condition(item) for item in predicate["conditions"]],
        recall=scope.recalled.get(node.key),
    )
    types = [qualified(ours("Releases"))]
    line = records.add(
        "entity", local_name("releases", predicate["name"]), prov_type=types, prov_label=predicate["name"]
    )
    records.relate("specializationOf", {"specificEntity": release, "generalEntity": line})
    at = decision.predicate.get("decided_at")
    build = records.add("activity", making_of(scope, node), prov_type=[qualified(ours("Build"))], prov_startTime=at)
    records.relate("wasGeneratedBy", {"entity": release, "activity": build, **_timed(predicate.get("at"))})
    ends = {"activity": build, "entity": _tell_decision(records, decision)}
    records.relate("used", ends, prov_role=[qualified(ours("decision"))])
    _tell_service(scope, records, build)
    _tell_withdrawal(scope, records, node.key, release)


def _tell_decision(records: Records, decision: Said) -> str:
    predicate = decision.predicate
    return records.add(
        "entity",
        local_name("decision", predicate["id"]),
        prov_type=[qualified(ours("Decision"))],
        entry=decision.entry,
        action=predicate["action"],
        verdict=predicate["verdict"],
        digest=predicate["answer_digest"],
        policyDigest=predicate["policy"].get("digest"),
        termsDigest=predicate["terms_digest"],
        logSize=predicate["log_size"],
    )


def _tell_withdrawal(scope: Scope, records: Records, key: str, release: str) -> None:
    said = scope.newest("withdrawal", key)
    if said is None:
        return
    at, actor = said.predicate["at"], said.predicate["actor"]
    act = records.add(
        "activity",
        local_name("withdrawal", key),
        prov_type=[qualified(ours("Withdrawal"))],
        prov_startTime=at,
        prov_endTime=at,
        entry=said.entry,
        reason=said.predicate["reason"],
    )
    person = records.add("agent", local_name("person", actor), prov_type=[PERSON], prov_label=actor)
    records.relate("wasInvalidatedBy", {"entity": release, "activity": act, "time": at})
    ends = {"activity": act, "agent": person}
    records.relate("wasAssociatedWith", ends, prov_role=[qualified(ours("withdrawer"))])


def _tell_run(scope: Scope, records: Records, node: Node) -> None:
    phases = scope.history("run", node.key)
    if not phases:
        return
    plan, last = phases[0].predicate, phases[-1].predicate
    at = {item.predicate["phase"]: item.predicate["at"] for item in phases}
    run = records.add(
        "activity",
        local_of(scope, node),
        prov_type=[qualified(ours("TrainingRun"))],
        prov_label=node.key,
        prov_startTime=at.get("start", plan["at"]),
        prov_endTime=last["at"] if last["phase"] in ENDED else None,
        entry=phases[0].entry,
        phase=last["phase"],
        recipe=plan["recipe"],
        student=scope.student_name(plan["student"]),
        digest=plan.get("plan_digest"),
        samplesDigest=last.get("sample_ids_digest"),
    )
    _tell_service(scope, records, run)
    developer = scope.developer(plan["student"])
    if developer is not None:
        ends = {"activity": run, "agent": organization(records, developer)}
        records.relate("wasAssociatedWith", ends, prov_role=[qualified(ours("developer"))])


def _tell_service(scope: Scope, records: Records, activity: str) -> None:
    ends = {"activity": activity, "agent": service_of(scope, records)}
    records.relate("wasAssociatedWith", ends, prov_role=[qualified(ours("service"))])


def _tell_report(scope: Scope, records: Records, node: Node) -> None:
    said = scope.newest("report", node.key)
    report = records.add(
        "entity",
        local_of(scope, node),
        prov_type=[qualified(ours("Report"))],
        prov_label=f"{said.predicate['kind']} {node.key}" if said else node.key,
        entry=node.entry,
        identifier=node.key,
    )
    reporting = records.add("activity", making_of(scope, node), prov_type=[qualified(ours("Reporting"))])
    records.relate("wasGeneratedBy", {"entity": report, "activity": reporting})
    _tell_service(scope, records, reporting)


def _tell_source(scope: Scope, records: Records, node: Node) -> None:
    types = [qualified(ours("ForeignDataset")), COLLECTION]
    records.add("entity", local_of(scope, node), prov_type=types, prov_label=node.key, entry=node.entry)


def _tell_outside(scope: Scope, records: Records, node: Node) -> None:
    types = [qualified(ours("NotOnRecord"))]
    records.add("entity", local_of(scope, node), prov_type=types, prov_label=scope.labels.text(node), entry=node.entry)


_TELLERS: Mapping[str, Callable[[Scope, Records, Node], None]] = {
    "model": _tell_model,
    "name": _tell_name,
    "samples": _tell_samples,
    "release": _tell_release,
    "run": _tell_run,
    "report": _tell_report,
    "source": _tell_source,
    "outside": _tell_outside,
}


def _condition(said: Mapping[str, Any]) -> str:
    return f"{said['document']} {said['clause']}: {said['type']} ({said['status']})"


def _timed(at: str | None) -> dict[str, str]:
    return {} if at is None else {"time": at}
