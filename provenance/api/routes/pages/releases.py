"""Pages of releases: the list, and one release with its gate result first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.decisions import stands_against
from provenance.api.views.common import File, Link
from provenance.api.views.decisions import parse_conditions
from provenance.api.views.releases import (
    Approval,
    Composition,
    Erased,
    Quarantined,
    ReleasePage,
    ReleaseRow,
    ReleasesPage,
    Withdrawal,
)
from provenance.report.build import KINDS
from provenance.store.approvals import AWAITING
from provenance.store.jobs import get_job
from provenance.store.log import find_content, find_statement
from provenance.store.pages import name_students
from provenance.store.releases import TAKEN, find_previous, get_release, list_releases
from provenance.store.reports import list_reports_about
from provenance.store.runs import list_runs_of

router = APIRouter()
RELEASED = frozenset({"allow", "allow-with-conditions"})
NO_PERMISSION: Mapping[str, Any] = {
    "rule": "no-permission",
    "text": "No rule permits it, and nothing is allowed without a permission.",
    "document": None,
    "clause": None,
}


@add_page(router, "/releases", "json", "csv")
def index_releases(asked: PageDep) -> Response:
    """Which releases there are, newest first."""
    return asked.answer(ReleasesPage(fill_rows(asked, list_releases(asked.session))))


@add_page(router, "/releases/{reference}", "json", "csv")
def show_release(reference: str, asked: PageDep) -> Response:
    """One release, by id or `name@version`: did it pass, what is in it, what was held back."""
    return asked.answer(fill_release(asked, get_release(asked.session, reference)))


def fill_rows(asked: Asked, releases: Sequence[Mapping[str, Any]]) -> list[ReleaseRow]:
    """The rows of a list of releases."""
    students = name_students(asked.session)
    return [
        ReleaseRow(
            name=item["name"],
            version=item["version"],
            state=item["state"],
            student=students.get(item["student"], item["student"]),
            released=item["counts"]["released"],
            quarantined=item["counts"]["quarantined"],
            created_at=find_creation(asked, item),
            approval=item["approval"] and item["approval"]["state"],
        )
        for item in releases
    ]


def find_creation(asked: Asked, release: Mapping[str, Any]) -> str:
    """When a release was decided on, or asked for where it is not decided yet."""
    if release["decision"] is None:
        return get_job(asked.session, release["id"]).created_at
    decision = find_statement(asked.session, "decision", release["decision"]["id"])
    return str(decision.predicate["decided_at"]) if decision else ""


def list_classes(asked: Asked, release: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The classes that a release's decision judged, with the whole answer on each."""
    content = find_content(asked.session, release["decision"]["entry"]) if release["decision"] else None
    return content["classes"] if content else []


def fill_release(asked: Asked, release: Mapping[str, Any]) -> ReleasePage:
    """The page of a release, also of one that is still being built."""
    classes = list_classes(asked, release)
    reference = f"{release['name']}@{release['version']}"
    student = name_students(asked.session).get(release["student"], release["student"])
    return ReleasePage(
        **{name: release[name] for name in ("id", "name", "version", "state", "dataset", "manifest_digest")},
        **{name: release[name] for name in ("index_set_digest", "log_size", "splits")},
        **{name: release["counts"][name] for name in ("selected", "released", "quarantined")},
        student=student,
        created_at=find_creation(asked, release),
        decision_id=release["decision"] and release["decision"]["id"],
        verdict=release["decision"] and release["decision"]["verdict"],
        composition=_fill_composition([item for item in classes if item["answer"]["verdict"] in RELEASED]),
        conditions=parse_conditions(release["conditions"]),
        quarantine=_fill_quarantine([item for item in classes if item["answer"]["verdict"] not in RELEASED]),
        files=_fill_files(release),
        entry_index=release["entry"],
        runs=[Link(run.id, f"/runs/{run.id}") for run in list_runs_of(asked.session, release["id"])],
        reports=[
            Link(KINDS.get(row.kind, row.kind), f"/reports/{row.id}")
            for row in list_reports_about(asked.session, release["id"])
        ],
        load_code=f'import provenance\n\ndata = provenance.load_release(\n    "{reference}",\n    student="{student}",\n)',
        erased=Erased(**release["erased"]) if release["erased"] else None,
        withdrawn=Withdrawal(**release["withdrawn"]) if release["withdrawn"] else None,
        recall=release["recall"],
        error=release["error"] and release["error"]["detail"],
        previous=find_previous(asked.session, release["name"], release["version"]) if release["decision"] else None,
        approval=_fill_approval(release["approval"]),
    )


def _fill_approval(said: Mapping[str, Any] | None) -> Approval | None:
    if said is None:
        return None
    rules = [Link(f"{rule['title']} ({rule['id']})", "/policies") for rule in said["rules"]]
    names = ("state", "requested_by", "approved_by", "at", "reason", "entry")
    return Approval(rules=rules, **{name: said[name] for name in names})


def _is_out(release: Mapping[str, Any]) -> bool:
    """Whether its data is given out."""
    awaits = release["approval"] is not None and release["approval"]["state"] == AWAITING
    return release["state"] not in TAKEN and not awaits


def _fill_composition(classes: Sequence[Mapping[str, Any]]) -> list[Composition]:
    rows: dict[tuple[str, str], Composition] = {}
    for item in classes:
        teacher = item["facts"]["teacher"]
        name, route = f"{teacher['provider']}/{teacher['model']}", teacher["route"]
        before = rows.get((name, route), Composition(name, route, [], 0, 0))
        terms = sorted({*before.terms, *(document["id"] for document in item["answer"]["documents"])})
        samples, tokens = before.samples + item["samples"], before.tokens + item["tokens"]
        rows[name, route] = Composition(name, route, terms, samples, tokens)
    return sorted(rows.values(), key=lambda row: -row.tokens)


def _fill_quarantine(classes: Sequence[Mapping[str, Any]]) -> list[Quarantined]:
    rows: dict[Quarantined, int] = {}
    for item in classes:
        key = _why_held(item)
        rows[key] = rows.get(key, 0) + item["samples"]
    return [replace(key, samples=samples) for key, samples in rows.items()]


def _why_held(item: Mapping[str, Any]) -> Quarantined:
    """The first reason against a class: an answer's reasons stand strictest first, and one that permits held nothing back."""
    teacher, answer = item["facts"]["teacher"], item["answer"]
    first = next((reason for reason in answer["reasons"] if stands_against(reason)), NO_PERMISSION)
    return Quarantined(
        teacher=f"{teacher['provider']}/{teacher['model']}",
        verdict=answer["verdict"],
        **{name: first[name] for name in ("rule", "text", "document", "clause")},
        samples=0,
    )


def _fill_files(release: Mapping[str, Any]) -> list[File]:
    base = f"/api/v1/releases/{release['id']}"
    return [
        File(
            file["path"],
            file["digest"],
            file["size_bytes"],
            file.get("rows"),
            f"{base}/{file['path']}" if _is_out(release) else None,
        )
        for file in release["files"]
    ]
