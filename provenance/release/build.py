"""Build a release: ask the gate, freeze what it lets through, sign the manifest, log all of it.

Three steps, each safe to repeat: `decide` -> `freeze` -> `log_release`. A crash between them leaves a decision without a
release, or a folder that nothing names yet; the next try goes on from there and makes nothing twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from provenance.attestation.envelope import sign_envelope
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import parse_digest, sha256_digest
from provenance.errors import ConflictError, FieldError, NotFoundError
from provenance.ledger.append import format_time
from provenance.ledger.durable import sync_folder
from provenance.ledger.publish import write_file
from provenance.policy.gate import RELEASABLE, Question, ask_gate, decision_predicate
from provenance.release.croissant import CROISSANT, format_croissant
from provenance.release.freeze import Frozen, freeze_samples
from provenance.release.manifest import FORMAT, LOG_PROOF, format_card, format_manifest, parse_manifest
from provenance.release.notice import NOTICE, format_notice
from provenance.runtime import Runtime
from provenance.store.log import find_content, find_statement, get_head, get_statement
from provenance.store.samples import count_classes
from provenance.store.session import read_session
from provenance.store.students import get_student

Progress = Callable[[dict[str, Any]], None]


def release_folder(runtime: Runtime, name: str, version: int) -> Path:
    """Where a release's files lie."""
    return runtime.folder("releases") / name / str(version)


def decide_dataset(
    runtime: Runtime, identifier: str, *, dataset: str, selection: Mapping[str, str], student: str, action: str
) -> dict[str, Any]:
    """Judge a dataset for a student and log the decision; the answer is the decision's predicate.

    Raises:
        NotFoundError: no such dataset or student.
        MalformedError: the selection holds no sample.
        ConflictError: a decision of this id answers another question.
    """
    catalogue, pack = runtime.catalogue, runtime.pack  # they may change meanwhile: judge by, and name, the same
    with read_session(runtime.engine) as session:
        declared = get_student(session, student)
        asked = {"dataset": dataset, "filter": dict(selection), "student": declared.predicate["id"], "action": action}
        if (done := find_statement(session, "decision", identifier)) is not None:
            return _same_question(done.predicate, asked)
        question = Question(
            dataset=dataset,
            selection=selection,
            student_id=declared.predicate["id"],
            student=declared.predicate["facts"],
            student_digest=declared.predicate["digest"],
            action=action,
            log_size=get_head(session).size,
        )
        gate = ask_gate(session, question, catalogue=catalogue, pack=pack, now=runtime.clock())
    predicate = decision_predicate(
        identifier, gate, pack=pack, catalogue=catalogue, decided_at=format_time(runtime.clock())
    )
    receipt = runtime.append("decision", predicate, content=gate.content(), once=(identifier, asked))
    if receipt.replayed:  # two requests with one Idempotency-Key came at the same moment
        with read_session(runtime.engine) as session:
            return get_statement(session, "decision", identifier).predicate
    return predicate


def _same_question(said: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    if {**said["selection"], "student": said["student"]["id"], "action": said["action"]} != asked:
        expected = "a new key, or the same request as before"
        raise ConflictError(
            "the Idempotency-Key was used for another request", FieldError("Idempotency-Key", said["id"], expected)
        )
    return said


def freeze(runtime: Runtime, request: Mapping[str, Any], decision: Mapping[str, Any], progress: Progress) -> str | None:
    """Write the release folder of a decision; the answer is the manifest's digest, or None when nothing may go out."""
    folder = release_folder(runtime, request["name"], request["version"])
    if (folder / "manifest.json").exists():
        return sha256_digest((folder / "manifest.json").read_bytes())
    selection = decision["selection"]
    verdicts = {short: verdict for short, verdict, _, _ in decision["classes"]}
    with read_session(runtime.engine) as session:
        counts = count_classes(session, selection["dataset"], selection["filter"], decision["log_size"])
        allowed = {
            count.id: verdict
            for count in counts
            if (verdict := next(value for short, value in verdicts.items() if count.digest.startswith(short)))
            in RELEASABLE
        }
        if not allowed:
            return None
        answer = _answer(session, decision["id"])
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        total = sum(count.samples for count in counts if count.id in allowed)
        frozen = freeze_samples(
            session,
            partial,
            dataset=selection["dataset"],
            verdicts=allowed,
            log_size=decision["log_size"],
            progress=lambda done: progress({"step": "freeze", "done": done, "total": total}),
        )
        student = get_student(session, decision["student"]["id"]).predicate
        teachers = _teachers(counts, allowed, answer)
        log_proof = None
        if ranges := frozen.ranges:
            prover = runtime.prover(session, newest=ranges[-1][-1])
            log_proof = prover.multi_proof_text(ranges)
    manifest = _make_manifest(request, decision, student, frozen, _carried(answer))
    if asking := _asking(answer):
        manifest["approval"] = {"requested_by": request.get("requested_by"), "rules": asking}
    data = format_manifest(manifest)
    write_file(partial / "manifest.json", data)
    write_file(partial / "README.md", format_card(manifest, teachers).encode())
    write_file(partial / CROISSANT, format_croissant(manifest, teachers, day=decision["decided_at"][:10]))
    write_file(partial / NOTICE, format_notice(manifest, _documents(answer)).encode())
    write_file(partial / "attestation.json", _attest(runtime, manifest, data))
    if log_proof is not None:
        write_file(partial / LOG_PROOF, log_proof.encode())
    partial.replace(folder)
    sync_folder(folder.parent)
    return sha256_digest(data)


def _make_manifest(
    request: Mapping[str, Any],
    decision: Mapping[str, Any],
    student: Mapping[str, Any],
    frozen: Frozen,
    conditions: list[dict[str, Any]],
) -> dict[str, Any]:
    selected, released = decision["counts"]["samples"], frozen.rows
    return {
        "format": FORMAT,
        "id": request["id"],
        "name": request["name"],
        "version": request["version"],
        "dataset": decision["selection"]["dataset"],
        "student": {"id": student["id"], "name": student["facts"]["name"]},
        "decision": {"id": decision["id"], "answer_digest": decision["answer_digest"]},
        "log_size": decision["log_size"],
        "counts": {"selected": selected, "released": released, "quarantined": selected - released},
        "conditions": conditions,
        "splits": frozen.splits,
        "leaves_root": frozen.leaves_root,
        "index_set_digest": frozen.index_set_digest,
        "files": frozen.files,
    }


def _answer(session: Any, decision_id: str) -> dict[str, Any]:
    row = get_statement(session, "decision", decision_id)
    content = find_content(session, row.index)
    if content is None:
        raise NotFoundError(f"the answer of decision {decision_id} is no longer stored")
    return content


def _carried(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conditions of the classes that go out, each once."""
    carried: dict[str, dict[str, Any]] = {}
    for item in answer["classes"]:
        if item["answer"]["verdict"] in RELEASABLE:
            for condition in item["answer"]["conditions"]:
                if condition["status"] != "not-triggered":
                    carried.setdefault(f"{condition['document']} {condition['type']} {condition['clause']}", condition)
    return [carried[key] for key in sorted(carried)]


def _documents(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The documents that bind what goes out, each once."""
    found = {
        document["id"]: document
        for item in answer["classes"]
        if item["answer"]["verdict"] in RELEASABLE
        for document in item["answer"]["documents"]
    }
    return list(found.values())


def _asking(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules that want a second person, of the classes that go out, each once."""
    rules = {
        rule["id"]: rule
        for item in answer["classes"]
        if item["answer"]["verdict"] in RELEASABLE
        for rule in item["answer"].get("approval", ())
    }
    return [rules[name] for name in sorted(rules)]


def _teachers(counts: Any, allowed: Mapping[int, str], answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    documents = {
        item["fact_class"]: [document["id"] for document in item["answer"]["documents"]] for item in answer["classes"]
    }
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for count in counts:
        if count.id in allowed:
            route = count.facts["teacher"]["route"]
            row = rows.setdefault(
                (count.teacher, route), {"teacher": count.teacher, "route": route, "samples": 0, "terms": []}
            )
            row["samples"] += count.samples
            row["terms"] = sorted({*row["terms"], *documents[count.digest]})
    return list(rows.values())


def _attest(runtime: Runtime, manifest: Mapping[str, Any], data: bytes) -> bytes:
    named = [("manifest.json", sha256_digest(data)), *((file["path"], file["digest"]) for file in manifest["files"])]
    subjects = tuple(Subject(name, {"sha256": parse_digest(digest).hex()}) for name, digest in named)
    statement = Statement(
        subjects, "release", {"id": manifest["id"], "name": manifest["name"], "version": manifest["version"]}
    )
    return sign_envelope(format_statement(statement), [runtime.ring.signer("release")])


def log_release(
    runtime: Runtime, request: Mapping[str, Any], decision: Mapping[str, Any], manifest_digest: str | None
) -> dict[str, Any]:
    """Append the release statement; the answer is its predicate."""
    with read_session(runtime.engine) as session:
        if (done := find_statement(session, "release", request["id"])) is not None:
            return done.predicate
        decided = get_statement(session, "decision", decision["id"]).index
    selected = decision["counts"]["samples"]
    predicate: dict[str, Any] = {
        "id": request["id"],
        "name": request["name"],
        "version": request["version"],
        "dataset": decision["selection"]["dataset"],
        "student": decision["student"]["id"],
        "decision": {"id": decision["id"], "index": decided},
        "log_size": decision["log_size"],
        "state": "blocked",
        "counts": {"selected": selected, "released": 0, "quarantined": selected},
        "manifest_digest": manifest_digest,
        "files": [],
        "conditions": [],
        "requested_by": request.get("requested_by"),
        "approval": [],
        "at": format_time(runtime.clock()),
    }
    subjects = [(request["id"], decision["answer_digest"])]
    if manifest_digest is not None:
        folder = release_folder(runtime, request["name"], request["version"])
        manifest = parse_manifest((folder / "manifest.json").read_bytes())
        same = ("counts", "conditions", "splits", "leaves_root", "index_set_digest", "files")
        predicate |= {name: manifest[name] for name in same}
        predicate["approval"] = manifest.get("approval", {"rules": []})["rules"]
        predicate["state"] = "partial" if manifest["counts"]["quarantined"] else "allowed"
        subjects = [("manifest.json", manifest_digest), *((file["path"], file["digest"]) for file in manifest["files"])]
    runtime.append("release", predicate, subjects=subjects)
    return predicate
