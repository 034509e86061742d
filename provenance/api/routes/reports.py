"""Reports: ask for one, read it in its forms, take its evidence along."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from pydantic import Field

from provenance.api.body import RequestBody
from provenance.api.deps import IdempotencyDep, ReaderDep, RuntimeDep, SessionDep, WriterDep, make_id
from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.jobs.engine import engine
from provenance.ledger.append import format_time
from provenance.report.build import BUNDLE, KINDS, report_folder
from provenance.report.render import report_content_security_policy
from provenance.store.jobs import create_job
from provenance.store.log import get_head
from provenance.store.releases import get_release
from provenance.store.reports import get_report, list_reports
from provenance.store.runs import find_release_of_model
from provenance.store.session import write_session

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])
Format = Literal["html", "pdf", "json", "csv"]
MEDIA_TYPES = {"html": "text/html", "pdf": "application/pdf", "json": "application/json", "csv": "text/csv"}


class ReportRequest(RequestBody):
    """A report of `kind` about `subject` (a release, by id or `name@version`, or a model trained here)."""

    kind: str
    subject: str
    at: int | None = Field(default=None, gt=0)
    formats: list[Format] = Field(default=["html", "pdf", "json", "csv"], min_length=1)


@router.post("", status_code=202)
def post_report(
    body: ReportRequest, response: Response, runtime: RuntimeDep, actor: WriterDep, key: IdempotencyDep
) -> dict[str, Any]:
    """Build a report: the answer comes at once, the building goes on; see `status_url`."""
    actor.require("report")
    if body.kind not in KINDS:
        expected = " | ".join(KINDS)
        raise MalformedError(f"kind: expected {expected}", FieldError("kind", body.kind, expected))
    identifier = make_id("rep", key)
    with write_session(runtime.engine) as session:
        size = get_head(session).size
        if body.at is not None and body.at > size:
            expected = f"a log size, 1 to {size}"
            raise MalformedError(f"at: expected {expected}", FieldError("at", body.at, expected))
        release = _find_subject(session, body.subject)
        request = {"kind": body.kind, "release": release, "at": body.at, "formats": sorted(set(body.formats))}
        create_job(session, identifier=identifier, kind="report", request=request, now=format_time(runtime.clock()))
    engine.start("report", identifier)
    url = f"/api/v1/reports/{identifier}"
    response.headers["Location"] = url
    return {"id": identifier, "status_url": url}


def _find_subject(session: Any, subject: str) -> str:
    try:
        release = get_release(session, subject)
    except NotFoundError as exc:
        found = find_release_of_model(session, subject)
        if found is None:
            expected = "a release (id or name@version) or a model that was trained here"
            raise NotFoundError(
                f"subject: there is no release or model {subject!r}", FieldError("subject", subject, expected)
            ) from exc
        return found
    if release["entry"] is None:
        raise NotFoundError(f"release {subject} is not in the log yet; its state is {release['state']}")
    return str(release["id"])


@router.get("")
def index_reports(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """All reports, newest first, and the kinds that can be asked for."""
    return {
        "reports": list_reports(session),
        "kinds": [{"kind": kind, "title": title} for kind, title in KINDS.items()],
    }


@router.get("/{identifier}.{extension}")
def show_file(
    identifier: str, extension: Format, runtime: RuntimeDep, session: SessionDep, _: ReaderDep
) -> FileResponse:
    """The report in one of its forms."""
    return report_file(runtime, session, identifier, extension)


@router.get("/{identifier}")
def show_report(identifier: str, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One report: state, subject, files with digests."""
    return get_report(session, identifier)


@router.get("/{identifier}/evidence")
def show_evidence(identifier: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> FileResponse:
    """The evidence bundle; `provenance verify` checks it offline."""
    get_report(session, identifier)
    path = report_folder(runtime, identifier) / BUNDLE
    if not path.is_file():
        raise NotFoundError(f"report {identifier} has no evidence bundle yet")
    return FileResponse(path, media_type="application/zip", filename=f"{identifier}-{BUNDLE}")


def report_file(runtime: Any, session: Any, identifier: str, extension: str) -> FileResponse:
    """A report's file as an answer; HTML comes with the policy that allows its own style and nothing else."""
    get_report(session, identifier)
    path = report_folder(runtime, identifier) / f"report.{extension}"
    if not path.is_file():
        raise NotFoundError(f"report {identifier} was not built as {extension}")
    headers = {"Content-Security-Policy": report_content_security_policy()} if extension == "html" else {}
    return FileResponse(path, media_type=MEDIA_TYPES[extension], headers=headers)
