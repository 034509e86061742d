"""Build a report: collect, render, log, bundle. Each step is safe to repeat and gives the same bytes.

The report is rendered as of a log size; the statement that names its files stands after it; the evidence bundle holds
both, and everything they rest on, against one checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes, parse_json, sha256_digest
from provenance.ledger.publish import write_file
from provenance.release.build import release_folder
from provenance.release.bundle import BatchPlace, BundleContents, write_bundle
from provenance.report.collect import Collector
from provenance.report.context import Report
from provenance.report.fill import fill_ownership_and_legality
from provenance.report.render import list_evidence, render_csv, render_html, render_json, render_pdf
from provenance.runtime import Runtime
from provenance.store.log import (
    find_content,
    find_statement,
    get_statement,
    list_statements,
    read_entry,
    read_statement,
)
from provenance.store.reports import find_report_about
from provenance.store.samples import get_sample
from provenance.store.session import read_session

KINDS: Mapping[str, str] = {"ownership-and-legality": "Ownership, legality and restriction evidence file"}
RENDERERS: Mapping[str, Callable[[Report], bytes]] = {
    "html": render_html,
    "json": render_json,
    "csv": render_csv,
    "pdf": render_pdf,
}
BUNDLE = "evidence.zip"
PDF_LIBRARIES = "PDF needs the system libraries of Pango (Debian: libpango-1.0-0 libpangoft2-1.0-0)"


def report_folder(runtime: Runtime, report_id: str) -> Path:
    """Where a report's files lie."""
    return runtime.folder("reports") / report_id


def render_report(
    runtime: Runtime, report_id: str, release_id: str, log_size: int, formats: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Write the report's files; the answer lists them with digests, and why a form could not be made."""
    with read_session(runtime.engine) as session:
        facts = Collector(session, log_size).collect(report_id, release_id)
    report = fill_ownership_and_legality(facts)
    folder = report_folder(runtime, report_id)
    files, missing = [], {}
    for name in formats:
        try:
            data = RENDERERS[name](report)
        except OSError as exc:  # the typesetter's libraries are the system's, not Python's
            missing[name] = f"{PDF_LIBRARIES} ({exc})"
            continue
        write_file(folder / f"report.{name}", data)
        files.append({"path": f"report.{name}", "digest": sha256_digest(data), "size_bytes": len(data)})
    evidence = sorted({item.index for item in list_evidence(report)})
    write_file(folder / "evidence.json", canonical_bytes(evidence))
    return files, missing


def log_report(
    runtime: Runtime, report_id: str, release_id: str, log_size: int, files: Sequence[Mapping[str, Any]]
) -> int:
    """Append the report statement; the answer is its index."""
    with read_session(runtime.engine) as session:
        if (done := find_statement(session, "report", report_id)) is not None:
            return done.index
        previous = find_report_about(session, release_id)
    predicate = {
        "id": report_id,
        "kind": "ownership-and-legality",
        "subject": {"kind": "release", "id": release_id},
        "log_size": log_size,
        "files": list(files),
        "previous": previous,
    }
    subjects = [(file["path"], file["digest"]) for file in files]
    return runtime.append("report", predicate, subjects=subjects).first_index


def bundle_report(runtime: Runtime, report_id: str, release_id: str) -> Path:
    """Write the evidence bundle of a report: its files, the release's manifest, and every entry they rest on."""
    folder = report_folder(runtime, report_id)
    if runtime.quorum is not None:
        runtime.publish()  # the report's own entry is new: have the witnesses see it, so that its evidence is cosigned
    with read_session(runtime.engine) as session:
        report = get_statement(session, "report", report_id)
        files = {file["path"]: (folder / file["path"]).read_bytes() for file in report.predicate["files"]}
        release = get_statement(session, "release", release_id)
        files |= _release_files(runtime, session, release.predicate)
        indices = _indices(session, folder, report.index, release.predicate, release.index)
        contents = gather_bundle(runtime, session, {"kind": "report", "id": report_id}, indices, files)
    write_bundle(folder / BUNDLE, contents, runtime.ring.signer("release"))
    return folder / BUNDLE


def _release_files(runtime: Runtime, session: Session, release: Mapping[str, Any]) -> dict[str, bytes]:
    decision = get_statement(session, "decision", release["decision"]["id"])
    found = {}
    if (content := find_content(session, decision.index)) is not None:
        found["decision.json"] = canonical_bytes(content)
    folder = release_folder(runtime, release["name"], release["version"])
    for name in ("manifest.json", "attestation.json"):
        if (folder / name).exists():
            found[f"release/{name}"] = (folder / name).read_bytes()
    return found


def _indices(
    session: Session, folder: Path, report_index: int, release: Mapping[str, Any], release_index: int
) -> set[int]:
    indices = {report_index, release_index, release["decision"]["index"]}
    indices |= set(parse_json((folder / "evidence.json").read_bytes()))
    indices |= {row.index for row in list_statements(session, "key")}
    indices.add(get_statement(session, "student", release["student"]).index)
    return indices


def gather_bundle(
    runtime: Runtime, session: Session, subject: Mapping[str, str], indices: set[int], files: Mapping[str, bytes]
) -> BundleContents:
    """Entries, proofs and batches for `indices` (samples bring their batch entries along), against the newest checkpoint
    that covers them and that witnesses cosigned, if they did."""
    samples = [index for index in indices if read_statement(session, index).kind == "sample"]
    prover = runtime.prover(
        session, newest=max(indices | {get_sample(session, index).batch_index for index in samples})
    )
    batches: dict[int, BatchPlace] = {}
    for index in sorted(samples):
        batch_index = get_sample(session, index).batch_index
        count = read_statement(session, batch_index).predicate["count"]
        position, path = prover.batch_path(index, batch_index, count)
        batches[index] = BatchPlace(batch_index, position, path)
        indices = indices | {batch_index}
    return BundleContents(
        subject=subject,
        log_size=prover.size,
        checkpoint=prover.checkpoint,
        vkeys=runtime.ring.vkey_lines,
        entries={index: read_entry(session, index) for index in indices},
        proofs={index: prover.proof_text(index) for index in indices},
        batches=batches,
        files=files,
    )
