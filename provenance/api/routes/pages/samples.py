"""Pages of samples: the list with its facets, and one sample (`sample` fills it)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.filters import Filters
from provenance.api.routes.pages.sample import fill_sample
from provenance.api.views.common import Pager
from provenance.api.views.samples import SampleRow, SamplesPage
from provenance.attestation.statement import Statement
from provenance.store import tables
from provenance.store.pages import (
    find_samples,
    list_latest,
    list_newest,
    list_release_classes,
    list_slices,
    load_statements,
)

router = APIRouter()
PAGE_SIZE = 50
RELEASED = frozenset({"allow", "allow-with-conditions"})
Choices = Annotated[list[str] | None, Query()]
ReleaseClasses = Sequence[tuple[tables.Release, tables.DecisionClass]]


@add_page(router, "/samples", "json", "csv")
def index_samples(
    asked: PageDep,
    teacher: Choices = None,
    provider: Choices = None,
    dataset: Choices = None,
    verdict: Choices = None,
    evidence: Choices = None,
    route: Choices = None,
    fact_class: Choices = None,
    q: str = "",
    before: int | None = None,
    after: int | None = None,
) -> Response:
    """Which samples there are, where from, may they train."""
    chosen = {
        "teacher": teacher or [], "provider": provider or [], "dataset": dataset or [], "verdict": verdict or [],
        "evidence": evidence or [], "route": route or [], "fact_class": fact_class or [],
    }  # fmt: skip
    session = asked.session
    filters = Filters(chosen, q.strip(), list_slices(session), list_latest(session), asked.runtime.catalogue)
    return asked.answer(fill_samples(asked, filters, before, after))


@add_page(router, "/samples/{index}", "json", "csv")
def show_sample(index: int, asked: PageDep) -> Response:
    """One sample: may it train, where it comes from, and how to check that."""
    return asked.answer(fill_sample(asked, index))


def fill_samples(asked: Asked, filters: Filters, before: int | None, after: int | None) -> SamplesPage:
    """One page of the list. A search that names samples exactly shows them; any other looks for a teacher."""
    slices = filters.selected()
    found = find_samples(asked.session, filters.query) if filters.query else []
    if found:
        rows = [row for row in found if filters.keeps(filters.slice_of(row))]
        pager = Pager(len(rows), len(rows))
    else:
        slices = filters.with_teacher(slices)
        wanted = slices if filters.active else None
        rows = list_newest(asked.session, wanted, before=before, after=after, limit=PAGE_SIZE + 1)
        rows, pager = _cut_page(asked, rows, sum(item.samples for item in slices), before, after)
    return SamplesPage(
        rows=_fill_rows(asked, rows, filters),
        query=filters.query,
        facets=filters.facets(),
        chips=filters.chips(),
        pager=pager,
    )


def _cut_page(
    asked: Asked, rows: list[tables.SampleRow], total: int, before: int | None, after: int | None
) -> tuple[list[tables.SampleRow], Pager]:
    # One row more than a page was asked for: it says whether the list goes on.
    more = len(rows) > PAGE_SIZE
    if more:
        rows = rows[1:] if after is not None else rows[:PAGE_SIZE]
    older, newer = (True, more) if after is not None else (more, before is not None)
    return rows, Pager(
        shown=len(rows),
        total=total,
        older_url=_cursor_url(asked, before=rows[-1].index) if rows and older else None,
        newer_url=_cursor_url(asked, after=rows[0].index) if rows and newer else None,
    )


def _cursor_url(asked: Asked, **cursor: int) -> str:
    url = asked.request.url.remove_query_params(["before", "after"]).include_query_params(**cursor)
    return f"/samples?{url.query}"


def _fill_rows(asked: Asked, rows: Sequence[tables.SampleRow], filters: Filters) -> list[SampleRow]:
    statements = load_statements(asked.session, [row.index for row in rows])
    releases = list_release_classes(asked.session) if rows else []
    return [_fill_row(row, statements[row.index], filters, releases) for row in rows]


def _fill_row(row: tables.SampleRow, said: Statement, filters: Filters, releases: ReleaseClasses) -> SampleRow:
    of = filters.slice_of(row)
    latest = filters.latest.get(row.fact_class_id)
    return SampleRow(
        index=row.index,
        generated_at=row.generated_at,
        dataset=of.dataset.name,
        teacher=of.fact_class.teacher,
        route=of.fact_class.facts["teacher"]["route"],
        terms=[item["id"] for item in said.predicate["terms"]],
        verdict=latest.verdict if latest else None,
        releases=[
            f"{release.name}@{release.version}"
            for release, judged in releases
            if judged.fact_class_id == row.fact_class_id
            and judged.verdict in RELEASED
            and release.dataset == of.dataset.name
            and row.index < release.log_size
        ],
        tokens=row.tokens,
        evidence=of.fact_class.facts["evidence"],
    )
