"""Evidence to take along without a report: of one sample, of one release with everything that its decision rests on, or of one
model with its release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes
from provenance.errors import NotFoundError
from provenance.release.build import release_folder
from provenance.release.bundle import Opening, format_bundle
from provenance.report.build import gather_bundle
from provenance.runtime import Runtime
from provenance.store.history import find_statement_of
from provenance.store.log import find_content, find_statement, get_statement, list_statements, read_statement
from provenance.store.releases import get_release
from provenance.store.runs import list_phases
from provenance.store.samples import get_sample

RELEASE_FILES = ("manifest.json", "attestation.json")


def bundle_sample(runtime: Runtime, session: Session, index: int) -> bytes:
    """The evidence of one sample: entry, batch, keys, the terms that it names, and its words unless they were erased.

    Raises:
        NotFoundError: entry `index` is no sample.
    """
    get_sample(session, index)
    said = read_statement(session, index).predicate
    found = (find_statement_of(session, "terms", item["id"], digest=item["digest"]) for item in said["terms"])
    indices = {index, *_keys(session), *(row.index for row in found if row is not None)}
    contents = gather_bundle(runtime, session, {"kind": "sample", "id": str(index)}, indices, {})
    words = find_content(session, index)
    if words is not None:
        salts = (bytes.fromhex(words[f"{name}_salt"]) for name in ("prompt", "completion"))
        contents = replace(contents, openings={index: Opening(words["prompt"], words["completion"], *salts)})
    return format_bundle(contents, runtime.ring.signer("release"))


def bundle_release(runtime: Runtime, session: Session, reference: str) -> bytes:
    """The evidence of one release: its entry, decision, student, policy, the terms that bind, keys, manifest, whole answer.

    Raises:
        NotFoundError: there is no such release, or the log does not hold it yet.
    """
    release = get_release(session, reference)
    if release["entry"] is None:
        raise NotFoundError(f"release {reference} is not in the log yet; its state is {release['state']}")
    indices, files = _release_evidence(runtime, session, release)
    contents = gather_bundle(runtime, session, {"kind": "release", "id": release["id"]}, indices, files)
    return format_bundle(contents, runtime.ring.signer("release"))


def _release_evidence(
    runtime: Runtime, session: Session, release: Mapping[str, Any]
) -> tuple[set[int], dict[str, bytes]]:
    """The entries that a release rests on, and its files."""
    decision = get_statement(session, "decision", release["decision"]["id"])
    student = get_statement(session, "student", release["student"])
    answer = find_content(session, decision.index)
    classes = (answer or {"classes": []})["classes"]
    bound = {(item["id"], item["digest"]) for each in classes for item in each["answer"]["documents"]}
    policy = f"pol_{decision.predicate['policy']['digest'].removeprefix('sha256:')[:16]}"
    terms = (find_statement_of(session, "terms", name, digest=digest) for name, digest in bound)
    found = [find_statement(session, "policy", policy), *terms]
    indices = {release["entry"], decision.index, student.index, *_keys(session)}
    indices |= {row.index for row in found if row is not None}
    if release["approval"] and release["approval"]["entry"] is not None:
        indices.add(release["approval"]["entry"])
    files = {"decision.json": canonical_bytes(answer)} if answer is not None else {}
    folder = release_folder(runtime, release["name"], release["version"])
    files |= {f"release/{name}": (folder / name).read_bytes() for name in RELEASE_FILES if (folder / name).is_file()}
    return indices, files


def bundle_model(runtime: Runtime, session: Session, model: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The evidence of a model that was trained here: its entry, its run's, and all that its release rests on; and `files`."""
    release = get_release(session, model["release"])
    indices, own = _release_evidence(runtime, session, release)
    indices |= {model["entry"], *(row.index for row in list_phases(session, model["run"]))}
    contents = gather_bundle(runtime, session, {"kind": "model", "id": model["id"]}, indices, {**own, **files})
    return format_bundle(contents, runtime.ring.signer("release"))


def _keys(session: Session) -> set[int]:
    return {row.index for row in list_statements(session, "key")}
