"""Pages of reports: the list, how to ask for one, one report and its files."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.runs import name_release
from provenance.api.routes.reports import report_file
from provenance.api.views.common import File
from provenance.api.views.reports import ReportGuidePage, ReportKind, ReportPage, ReportRow, ReportsPage
from provenance.report.build import BUNDLE, KINDS, report_folder
from provenance.report.templates import get_template
from provenance.store.releases import list_releases
from provenance.store.reports import get_report, list_reports

router = APIRouter()
Format = Literal["html", "pdf", "json", "csv"]
STATES = {"queued": "building", "running": "building"}


@add_page(router, "/reports", "json", "csv")
def index_reports(asked: PageDep) -> Response:
    """Which reports were built, newest first."""
    return asked.answer(ReportsPage(fill_rows(asked, list_reports(asked.session))))


@add_page(router, "/reports/new")
def explain_reports(asked: PageDep, subject: str = "") -> Response:
    """How to ask for a report."""
    return asked.answer(fill_guide(asked, subject.removeprefix("release/")))


@router.get("/reports/{identifier}.{extension}", response_model=None)
def show_report_file(identifier: str, extension: Format, asked: PageDep) -> FileResponse:
    """The report itself in one of its forms."""
    return report_file(asked.runtime, asked.session, identifier, extension)


@add_page(router, "/reports/{identifier}")
def show_report(identifier: str, asked: PageDep) -> Response:
    """One report: its files with their digests, and how to check them."""
    return asked.answer(fill_report(asked, get_report(asked.session, identifier)))


def fill_rows(asked: Asked, reports: Sequence[Mapping[str, Any]]) -> list[ReportRow]:
    """The rows of a list of reports."""
    return [
        ReportRow(
            id=item["id"],
            kind=item["kind"],
            title=KINDS.get(item["kind"], item["kind"]),
            subject=name_release(asked, item["subject"]["id"]),
            log_size=item["log_size"],
            state=STATES.get(item["state"], item["state"]),
            built_at=item["created_at"],
        )
        for item in reports
    ]


def fill_report(asked: Asked, report: Mapping[str, Any]) -> ReportPage:
    """The page of a report, also of one that is still being built."""
    subject = name_release(asked, report["subject"]["id"])
    folder, base = report_folder(asked.runtime, report["id"]), f"/reports/{report['id']}"
    fields = count_fields(folder / "report.json")
    return ReportPage(
        id=report["id"],
        kind=report["kind"],
        title=KINDS.get(report["kind"], report["kind"]),
        subject=subject,
        subject_url=f"/releases/{subject}",
        log_size=report["log_size"],
        state=STATES.get(report["state"], report["state"]),
        built_at=report["created_at"],
        files=[
            File(file["path"], file["digest"], file["size_bytes"], None, f"{base}.{file['path'].rpartition('.')[2]}")
            for file in report["files"]
        ],
        evidence_url=f"/api/v1{base}/evidence" if (folder / BUNDLE).is_file() else None,
        entry_index=report["entry"],
        previous_id=report["previous"],
        gaps=fields["not_recorded"] if fields else None,
        fields=fields.total() if fields else None,
        missing=[f"{name.upper()}: {reason}" for name, reason in report["missing"].items()],
        error=report["error"] and report["error"]["detail"],
    )


def count_fields(path: Any) -> Counter[str]:
    """How many fields of a report are in which state; empty where its JSON was not asked for."""
    if not path.is_file():
        return Counter()
    said = orjson.loads(path.read_bytes())
    return Counter(field["state"] for section in said["sections"] for field in section["fields"])


def fill_guide(asked: Asked, subject: str) -> ReportGuidePage:
    """The command and the request that build a report about `subject`."""
    about = subject or "NAME@VERSION"
    kind = next(iter(KINDS))
    body = orjson.dumps({"kind": kind, "subject": about}).decode()
    address = str(asked.request.base_url).rstrip("/")
    return ReportGuidePage(
        kinds=[ReportKind(name, title, get_template(name).audience) for name, title in KINDS.items()],
        subjects=[
            f"{item['name']}@{item['version']}" for item in list_releases(asked.session) if item["entry"] is not None
        ],
        subject=subject or None,
        command=f"provenance report build --kind {kind} --subject {shlex.quote(about)}",
        request=(
            f"curl -X POST {address}/api/v1/reports \\\n"
            '  -H "Authorization: Bearer $PROVENANCE_TOKEN" \\\n'
            f"  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"
        ),
    )
