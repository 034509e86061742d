"""Pages of collections: the imports, one import with its data sets filtered, and one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from provenance.api.pages import PageDep, add_page
from provenance.api.rendering import quote_segment
from provenance.api.routes.pages.collection_filters import CollectionFilters, page_of
from provenance.api.views.collections import (
    CollectionDatasetPage,
    CollectionPage,
    CollectionRow,
    CollectionsPage,
    DifferenceKind,
    LicenseClaim,
    ParentLink,
    TeacherFinding,
)
from provenance.api.views.common import File
from provenance.errors import NotFoundError
from provenance.policy.collection.compare import KINDS, SAME
from provenance.policy.collection.examine import KIND
from provenance.policy.collection.files import FOLDER, read_files
from provenance.store.collections import get_curation, list_curations
from provenance.store.tables import StatementRow

router = APIRouter()
Choices = Annotated[list[str] | None, Query()]
SHOWN_PARENTS = 12
ADDRESSES = {"Dataset URL": "Data set", "Hugging Face URL": "Hugging Face", "GitHub URL": "GitHub"}


@add_page(router, "/sources/collections", "json", "csv")
def index_collections(asked: PageDep) -> Response:
    """What others said of data sets."""
    return asked.answer(CollectionsPage([_fill_row(row) for row in list_curations(asked.session, KIND)]))


@add_page(router, "/sources/collections/{identifier}", "json", "csv")
def show_collection(
    identifier: str,
    asked: PageDep,
    kind: Choices = None,
    upstream: Choices = None,
    ours: Choices = None,
    licences: Choices = None,
    q: str = "",
    after: str = "",
) -> Response:
    """One import: each kind of difference, and the data sets that show it."""
    row = get_curation(asked.session, KIND, identifier)
    chosen = {"kind": kind or [], "upstream": upstream or [], "ours": ours or [], "licences": licences or []}
    facts, comparison = read_files(asked.runtime.settings.data_dir / FOLDER, row.predicate)
    filters = CollectionFilters(f"/sources/collections/{row.key}", chosen, q.strip(), facts, comparison)
    return asked.answer(fill_collection(row, filters, after))


@add_page(router, "/sources/collections/{identifier}/{dataset}", "json", "csv")
def show_dataset(identifier: str, dataset: str, asked: PageDep) -> Response:
    """One data set of an import: who says what of its licence, what it derives from, and what our rules say."""
    row = get_curation(asked.session, KIND, identifier)
    facts, comparison = read_files(asked.runtime.settings.data_dir / FOLDER, row.predicate)
    said = next((item for item in facts["datasets"] if item["id"] == dataset), None)
    if said is None:
        raise NotFoundError(f"there is no data set {dataset!r} in the collection {identifier}")
    compared = next(item for item in comparison["datasets"] if item["id"] == dataset)
    return asked.answer(fill_dataset(row, said, compared))


def fill_collection(row: StatementRow, filters: CollectionFilters, after: str) -> CollectionPage:
    """The page of an import; the list begins behind the data set `after`."""
    said = row.predicate
    rows, pager = page_of(filters, after)
    return CollectionPage(
        id=said["id"],
        origin=said["origin"],
        counts=said["counts"],
        verdicts=said["verdicts"],
        days=said["days"],
        kinds=[_fill_kind(item, filters) for item in said["kinds"]],
        policy_digest=said["policy_digest"],
        terms_digest=said["terms_digest"],
        aliases_digest=said["aliases_digest"],
        files=[File(item["path"], item["digest"], item["size_bytes"]) for item in said["files"]],
        entry_index=row.index,
        query=filters.query,
        facets=filters.facets(),
        chips=filters.chips(),
        pager=pager,
        rows=rows,
    )


def _fill_row(row: StatementRow) -> CollectionRow:
    said, counts = row.predicate, row.predicate["counts"]
    same = sum(item["datasets"] for item in said["kinds"] if item["kind"] == SAME)
    different = counts["datasets"] - same if said["upstream_classes"] else None
    return CollectionRow(
        id=said["id"],
        origin=said["origin"],
        datasets=counts["datasets"],
        license_entries=counts["license_entries"],
        teacher_outputs=counts["teacher_outputs"],
        different=different,
        entry_index=row.index,
    )


def _fill_kind(item: Mapping[str, Any], filters: CollectionFilters) -> DifferenceKind:
    kind = item["kind"]
    return DifferenceKind(
        kind=kind,
        words=KINDS.get(kind, "A kind that an earlier version told."),
        datasets=item["datasets"],
        alone=item["alone"],
        ours=item["ours"],
        upstream=item["upstream"],
        url=filters.url_of("kind", kind),
    )


def fill_dataset(row: StatementRow, said: Mapping[str, Any], compared: Mapping[str, Any]) -> CollectionDatasetPage:
    """The page of a data set."""
    return CollectionDatasetPage(
        collection=row.key,
        id=said["id"],
        name=said["name"],
        part_of=said["part_of"],
        creators=said["creators"],
        human_annotation=said["human_annotation"],
        addresses={ADDRESSES[name]: url for name, url in said["urls"].items() if name in ADDRESSES},
        teacher_output=compared["teacher_output"],
        ours=compared["ours"],
        upstream=compared["upstream"],
        verdicts=compared["verdicts"],
        kinds=[(kind, KINDS.get(kind, kind)) for kind in compared["kinds"]],
        license_state=said["license_state"],
        licenses=[LicenseClaim(**item) for item in said["licenses"]],
        provider_terms=[
            LicenseClaim(item["source"], item["name"], None, item["provider"], known=True, url=item["url"])
            for item in said["provider_terms"]
        ],
        use=said["use"],
        generators=[item["name"] for item in said["generators"]],
        parents=[_fill_parent(item, row.key) for item in said["parents"]],
        stricter_ancestors=said["stricter_ancestors"],
        parents_open=said["parents_open"],
        dates=said["dates"],
        generated_until=said["generated_until"],
        findings=_group_findings(compared["teachers"]),
        entry_index=row.index,
    )


def _fill_parent(item: Mapping[str, Any], collection: str) -> ParentLink:
    shown = [(name, f"/sources/collections/{collection}/{quote_segment(name)}") for name in item["datasets"]]
    return ParentLink(item["name"], item["state"], item["ref"], len(shown), shown[:SHOWN_PARENTS])


def _group_findings(teachers: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[TeacherFinding]:
    """Each answer once, with the students who got it."""
    found: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for student, items in teachers.items():
        for item in items:
            found.setdefault(repr(item), ([], item))[0].append(student)
    return [_fill_finding(students, item) for students, item in found.values()]


def _fill_finding(students: Sequence[str], item: Mapping[str, Any]) -> TeacherFinding:
    teacher = item["teacher"]
    known = [name for name in (teacher["provider"], teacher["model"]) if name]
    return TeacherFinding(
        students=students,
        teacher=teacher["name"],
        taken_for="/".join(known) or None,
        verdict=item["verdict"],
        first_day=item["from"],
        last_day=item["until"],
        by_verdict=item["by_verdict"],
        reasons=item["reasons"],
    )
