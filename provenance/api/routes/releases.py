"""Releases: ask for one, see how it went, fetch it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import FileResponse
from pydantic import Field

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.api.once import find_done, once_of
from provenance.errors import FieldError, GoneError, MalformedError, NotFoundError
from provenance.jobs.engine import engine
from provenance.ledger.append import format_time
from provenance.policy.gate import select_classes
from provenance.release.approve import approve_release
from provenance.release.build import release_folder
from provenance.release.compare import CHANGED, compare_releases
from provenance.release.croissant import CROISSANT
from provenance.release.indices import Change
from provenance.release.manifest import LOG_PROOF
from provenance.release.notice import NOTICE
from provenance.release.retract import MAX_REASON, retract_release
from provenance.report.evidence import bundle_release
from provenance.runtime import Runtime
from provenance.store.jobs import create_job
from provenance.store.log import MAX_INDEX, get_head, read_entry
from provenance.store.releases import TAKEN, get_release, list_releases, next_version, refuse_unapproved
from provenance.store.samples import check_selection
from provenance.store.session import read_session, write_session
from provenance.store.students import get_student

router = APIRouter(prefix="/api/v1/releases", tags=["releases"])
AWAITS = "release-awaits-approval"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class ReleaseRequest(RequestBody):
    """A release of `dataset` (or of a `selection` of it) for a declared `student`, under `name`."""

    dataset: str
    student: str
    name: str
    selection: dict[str, Any] = Field(default_factory=dict)


@router.post("", status_code=202)
def post_release(
    body: ReleaseRequest, response: Response, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Build a release: the answer comes at once, the building goes on; see `status_url`."""
    actor.require("release")
    if not NAME.fullmatch(body.name):
        expected = "lower-case letters, digits, . _ -, at most 80"
        raise MalformedError(f"name: expected {expected}", FieldError("name", body.name, expected))
    selection = check_selection(body.selection)
    identifier = make_id("rel", key)
    with write_session(runtime.engine) as session:
        select_classes(session, body.dataset, selection, get_head(session).size)
        get_student(session, body.student)
        request = {
            "dataset": body.dataset,
            "selection": selection,
            "student": body.student,
            "name": body.name,
            "requested_by": actor.name,
            "version": next_version(session, body.name, identifier),
        }
        create_job(session, identifier=identifier, kind="release", request=request, now=format_time(runtime.clock()))
    engine.start("release", identifier)
    url = f"/api/v1/releases/{identifier}"
    response.headers["Location"] = url
    return {"id": identifier, "name": body.name, "version": request["version"], "status_url": url}


class WithdrawalRequest(RequestBody):
    """Why a release is taken back; it is logged."""

    reason: str


@router.post("/{reference}/withdraw", status_code=201)
def post_withdrawal(
    reference: str, body: WithdrawalRequest, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Take a release back: no student is trained on it any more, and its data is not given out; its evidence stays."""
    actor.require("release")
    once = once_of("wdr", key, {"release": reference, "reason": body.reason, "actor": actor.name})
    done = find_done(runtime, once) or retract_release(
        runtime, reference, reason=body.reason, actor=actor.name, once=once
    )
    with read_session(runtime.engine) as session:
        release = get_release(session, reference)
    return {"id": release["id"], "state": release["state"], "entry": done.first_index}


class ApprovalRequest(RequestBody):
    """What the approver wants to have on record; it may be left out."""

    reason: str | None = Field(default=None, min_length=1, max_length=MAX_REASON)


@router.post("/{reference}/approve", status_code=201)
def post_approval(
    reference: str,
    runtime: RuntimeDep,
    actor: WriterDep,
    key: IdempotencyDep,
    body: Annotated[ApprovalRequest | None, Body()] = None,
) -> dict[str, Any]:
    """Agree to a release, as another person than the one who asked for it; where a pack wants that, nobody is given its data
    before."""
    actor.require("govern")
    actor.require_person("approve a release")
    reason = body.reason if body else None
    once = once_of("app", key, {"release": reference, "reason": reason, "actor": actor.name})
    done = find_done(runtime, once) or approve_release(runtime, reference, reason=reason, actor=actor.name, once=once)
    with read_session(runtime.engine) as session:
        release = get_release(session, reference)
    return {"id": release["id"], "state": release["state"], "approval": release["approval"], "entry": done.first_index}


@router.get("/{reference}/approval")
def show_approval(reference: str, session: SessionDep, _: ReaderDep) -> Response:
    """The approval as it stands in the log, signed: what a copy needs to be used without a service."""
    release = get_release(session, reference)
    approval = release["approval"] or {"entry": None}
    if approval["entry"] is None:
        raise NotFoundError(f"release {release['name']}@{release['version']} was not approved by a second person")
    return Response(read_entry(session, approval["entry"]), media_type="application/json")


@router.get("")
def index_releases(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All releases, newest first, those in building among them."""
    return {"releases": list_releases(session)}


@router.get("/{reference}")
def show_release(reference: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One release, by id or `name@version`."""
    return get_release(session, reference)


@router.get("/{reference}/diff/{other}")
def show_diff(
    reference: str,
    other: str,
    runtime: RuntimeDep,
    session: SessionDep,
    _: ReaderDep,
    change: Annotated[Change | None, Query()] = None,
    after: Annotated[int, Query(ge=-1, le=MAX_INDEX)] = -1,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """What differs from one release to another. All samples are counted; `rows` lists those added and removed, or those of
    one `change`, by entry index; `next_after` is where the next page begins."""
    changes = CHANGED if change is None else (change,)
    return compare_releases(runtime, session, (reference, other), changes=changes, after=after, limit=limit)


@router.get("/{reference}/manifest")
def show_manifest(reference: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """The manifest, byte for byte as it was signed."""
    return _file(runtime, get_release(session, reference), "manifest.json", "application/json")


@router.get("/{reference}/attestation")
def show_attestation(reference: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """The DSSE attestation over manifest and shards."""
    return _file(runtime, get_release(session, reference), "attestation.json", "application/json")


@router.get("/{reference}/card")
def show_card(reference: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """The dataset card (README.md)."""
    return _file(runtime, get_release(session, reference), "README.md", "text/markdown")


@router.get("/{reference}/croissant")
def show_croissant(reference: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """The Croissant description (croissant.json)."""
    return _file(runtime, get_release(session, reference), CROISSANT, "application/ld+json")


@router.get("/{reference}/notice")
def show_notice(reference: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """The notice that goes with the data (NOTICE.md)."""
    return _file(runtime, get_release(session, reference), NOTICE, "text/markdown")


@router.get("/{reference}/proof")
def show_log_proof(reference: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """One proof that the entries of a release, neither more nor less, stand in the log."""
    return _file(runtime, get_release(session, reference), LOG_PROOF, "text/plain; charset=utf-8")


@router.get("/{reference}/evidence")
def show_evidence(reference: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> Response:
    """The evidence bundle of a release; `provenance verify` checks it offline."""
    data = bundle_release(runtime, session, reference)
    headers = {"Content-Disposition": f'attachment; filename="{reference}-evidence.zip"'}
    return Response(data, media_type="application/zip", headers=headers)


@router.get("/{reference}/data/{path:path}")
def show_data(reference: str, path: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """One shard; only files that the manifest names are there."""
    release = get_release(session, reference)
    _refuse_taken(release)
    refuse_unapproved(release, AWAITS)
    wanted = path if path.startswith("data/") else f"data/{path}"
    if wanted not in {file["path"] for file in release["files"]}:
        raise NotFoundError(f"release {reference} has no file {path!r}")
    return _file(runtime, release, wanted, "application/vnd.apache.parquet")


def _refuse_taken(release: dict[str, Any]) -> None:
    if release["state"] not in TAKEN:
        return
    raise GoneError(
        f"the data of release {release['name']}@{release['version']} is not given out: {_why_taken(release)}"
    )


def _why_taken(release: dict[str, Any]) -> str:
    if release["recall"]:
        return f"recall {release['recall']} holds it back"
    if said := release["withdrawn"]:
        return f"{said['actor']} withdrew it on {said['at']} ({said['reason']})"
    return "it holds samples that were erased"


def _file(runtime: Runtime, release: dict[str, Any], name: str, media_type: str) -> FileResponse:
    path = release_folder(runtime, release["name"], release["version"]) / name
    if not path.is_file():
        raise NotFoundError(
            f"release {release['name']}@{release['version']} has no {name}: its state is {release['state']}"
        )
    return FileResponse(path, media_type=media_type, filename=path.name)
