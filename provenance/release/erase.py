"""Erase text on request: asked for by one person, agreed to by another, carried out step by step, logged at each end.

What goes: words and salts in the database, the unsalted digests of the requests that brought them, and the data of every
release that holds them. What stays: entries, commitments, proofs, manifests, so everything that was signed still verifies.

Order: `preview_erasure` -> `request_erasure` -> `check_approver` -> `log_approval` -> `erase_words` -> `erase_copies` ->
`sweep` -> `log_done`. From the approval on each step is safe to repeat, so a crash delays an erasure and never loses one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session

from provenance.errors import ConflictError, FieldError, ForbiddenError, MalformedError
from provenance.ledger.append import format_time
from provenance.release.choose import Chosen, Query, choose_samples
from provenance.release.withdraw import list_holding, remove_partial, withdraw_data
from provenance.runtime import Runtime
from provenance.store.content import compact_database, erase_segment, forget_requests, list_segments
from provenance.store.erasures import APPROVED, DONE, REQUESTED, list_phases, load_indices
from provenance.store.jobs import ENDED, list_jobs
from provenance.store.people import same_person
from provenance.store.ranges import IndexSet
from provenance.store.session import read_session, write_session

Progress = Callable[[dict[str, Any]], None]
MAX_REASON = 2000
OUT_OF_REACH = (
    "backups and copies of the database that were made before (also *.before-restore beside it)",
    "releases and evidence that were downloaded before, and the caches and spools of clients",
    "models that learned from the text; the lineage names them",
    "PostgreSQL: write-ahead log files until they are recycled, and archives and replicas of them",
    "blocks that the file system or the disk keeps after a file is rewritten (snapshots, flash)",
)


def preview_erasure(runtime: Runtime, session: Session, query: Query) -> dict[str, Any]:
    """What an erasure would take: how many samples, of which datasets, out of which releases. Nothing is changed.

    Raises:
        MalformedError: nothing is asked for, or in another form.
        NotFoundError: what is named is not there.
        ConflictError: it was erased before.
    """
    return _describe(runtime, choose_samples(session, query))


def request_erasure(runtime: Runtime, identifier: str, query: Query, *, reason: str, requester: str) -> dict[str, Any]:
    """Log that somebody asks for an erasure; the samples are frozen now, so what is approved is what was shown.

    Raises:
        MalformedError: no reason is given; else as `preview_erasure`.
        ConflictError: the Idempotency-Key stands for another request.
    """
    check_reason(reason)
    asked = {"query": _format_query(query), "reason": reason, "requester": requester}
    with read_session(runtime.engine) as session:
        if phases := list_phases(session, identifier):
            if phases[0].predicate["asked"] != asked:
                expected = "a new key, or the same request as before"
                raise ConflictError(
                    "the Idempotency-Key was used for another request",
                    FieldError("Idempotency-Key", identifier, expected),
                )
            return {**phases[0].predicate, "entry": phases[0].index}
        chosen = choose_samples(session, query)
    predicate = {
        "id": identifier,
        "phase": REQUESTED,
        "at": format_time(runtime.clock()),
        "reason": reason,
        "requester": requester,
        "approver": None,
        "asked": asked,
        **_describe(runtime, chosen),
    }
    content = {"runs": [list(run) for run in chosen.indices.runs]}
    receipt = runtime.append("erasure", predicate, content=content, once=(identifier, asked))
    return {**predicate, "entry": receipt.first_index}


def check_reason(reason: str) -> None:
    """Refuse a reason that says nothing, or does not fit into an entry.

    Raises:
        MalformedError: it is empty or too long.
    """
    expected = f"why the text must go, 1 to {MAX_REASON:,} characters, without the text itself"
    if not reason.strip() or len(reason) > MAX_REASON:
        raise MalformedError(f"reason: expected {expected}", FieldError("reason", reason, expected))


def _format_query(query: Query) -> dict[str, Any]:
    named = {"indices": len(query.indices), "external_ids": len(query.external_ids)}
    return {**named, "dataset": query.dataset, "selection": dict(query.selection or {})}


def _describe(runtime: Runtime, chosen: Chosen) -> dict[str, Any]:
    datasets = {item["name"] for item in chosen.datasets}
    return {
        "count": len(chosen.indices),
        "tokens": chosen.tokens,
        "indices_digest": chosen.indices.digest,
        "datasets": list(chosen.datasets),
        "releases": list_holding(runtime.folder("releases"), chosen.indices, datasets),
    }


def check_approver(erasure: Mapping[str, Any], approver: str) -> None:
    """Refuse an approval that is not a second person's, or comes too late.

    Raises:
        ForbiddenError: the requester cannot approve.
        ConflictError: somebody approved it before.
    """
    if same_person(approver, erasure["requester"]):
        raise ForbiddenError(
            f"erasure {erasure['id']} was asked for by {erasure['requester']}; another person must approve it"
        )
    if erasure["state"] not in {REQUESTED, "failed"}:
        expected = "an erasure that waits for approval"
        raise ConflictError(
            f"erasure {erasure['id']} was approved by {erasure['approver']} before; it is {erasure['state']}",
            FieldError("erasure", erasure["state"], expected),
        )


def log_approval(runtime: Runtime, identifier: str, approver: str) -> None:
    """Say who agreed, and which releases hold the samples by now: from here on these are withdrawn."""
    with read_session(runtime.engine) as session:
        phases = list_phases(session, identifier)
        indices = load_indices(session, identifier)
    if len(phases) > 1:
        return
    said = phases[0].predicate
    predicate = {**said, "phase": APPROVED, "approver": approver, "at": format_time(runtime.clock())}
    predicate["releases"] = _holding(runtime, said, indices)
    runtime.append("erasure", predicate)


def _holding(runtime: Runtime, said: Mapping[str, Any], indices: IndexSet) -> list[dict[str, Any]]:
    return list_holding(runtime.folder("releases"), indices, {item["name"] for item in said["datasets"]})


def erase_words(runtime: Runtime, identifier: str, progress: Progress) -> dict[str, int]:
    """Empty the samples in their segments, one segment a transaction; forget what the requests said that brought them."""
    with read_session(runtime.engine) as session:
        indices = load_indices(session, identifier)
        segments = list_segments(session, indices)
    samples = 0
    for done, first_index in enumerate(segments, 1):
        with write_session(runtime.engine) as session:
            samples += erase_segment(session, first_index, indices)
        progress({"step": "words", "done": done, "total": len(segments)})
    with write_session(runtime.engine) as session:
        requests = forget_requests(session, indices)
    return {"samples": samples, "requests": requests}


def list_builds(session: Session) -> list[str]:
    """Releases in building: what they have read may be from before the words went."""
    return [job.id for job in list_jobs(session, "release", limit=10_000) if job.state not in ENDED]


def erase_copies(runtime: Runtime, identifier: str) -> list[dict[str, Any]]:
    """Remove the data of every release that holds the samples, and what dead builds left; no build from before may run.

    Returns:
        The releases that lost their data: id, name, version, samples.
    """
    with read_session(runtime.engine) as session:
        indices = load_indices(session, identifier)
        said = list_phases(session, identifier)[-1].predicate
        dead = [job.request for job in list_jobs(session, "release", limit=10_000) if job.state in ENDED]
    releases: Path = runtime.folder("releases")
    for request in dead:
        remove_partial(releases, request["name"], request["version"])
    return withdraw_data(releases, indices, {"id": identifier, "at": said["at"]})


def sweep(runtime: Runtime) -> None:
    """Leave nothing of the old rows in the database's files."""
    compact_database(runtime.engine)


def log_done(
    runtime: Runtime,
    identifier: str,
    removed: Mapping[str, int],
    releases: Sequence[Mapping[str, Any]],
    runs: Sequence[str],
) -> None:
    """Say that it is done, what went with it, and what is out of this service's reach."""
    with read_session(runtime.engine) as session:
        said = list_phases(session, identifier)[-1].predicate
    if said["phase"] == DONE:
        return
    predicate = {
        **said,
        "phase": DONE,
        "at": format_time(runtime.clock()),
        "releases": list(releases),
        "runs": list(runs),
        "removed": dict(removed),
        "out_of_reach": list(OUT_OF_REACH),
    }
    runtime.append("erasure", predicate)
