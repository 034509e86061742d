"""Lineage: ancestors, descendants, paths, shares, taint, and exports. Reads only."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from provenance.api.deps import ReaderDep, RuntimeDep, SessionDep
from provenance.export.write import write_export
from provenance.lineage.reach import freeze_reach
from provenance.lineage.shares import weigh_teachers
from provenance.lineage.trace import check_direction, trace, trace_path
from provenance.policy.taint import find_taint

router = APIRouter(prefix="/api/v1/lineage", tags=["lineage"])
Reference = Annotated[str, Query(max_length=400)]


@router.get("")
def show_lineage(
    session: SessionDep,
    _: ReaderDep,
    root: Reference,
    direction: str = "descendants",
    depth: int | None = None,
    limit: int = 1000,
) -> dict[str, Any]:
    """What `root` was made from (`ancestors`) or what was made of it (`descendants`); the nearest `limit` nodes."""
    return trace(session, root, check_direction(direction), depth=depth, limit=limit)


@router.get("/path")
def show_path(
    session: SessionDep, _: ReaderDep, start: Annotated[str, Query(alias="from", max_length=400)], to: Reference
) -> dict[str, Any]:
    """A shortest way between two things; `steps` is null where there is none."""
    return trace_path(session, start, to)


@router.get("/shares")
def show_shares(session: SessionDep, runtime: RuntimeDep, _: ReaderDep, root: Reference) -> dict[str, Any]:
    """Tokens by teacher and by route, the generation, and the self-made share."""
    return weigh_teachers(session, root, runtime.catalogue)


@router.get("/taint")
def show_taint(session: SessionDep, runtime: RuntimeDep, _: ReaderDep, root: Reference) -> dict[str, Any]:
    """Every clause that reached a thing, direct or inherited, with its way."""
    return find_taint(session, root, runtime.catalogue, today=runtime.clock().date())


@router.get("/reach")
def show_reach(session: SessionDep, _: ReaderDep, root: Reference, log_size: int | None = None) -> dict[str, Any]:
    """All that descends from a thing, frozen at a log size: what a recall would have to deal with."""
    return freeze_reach(session, [root], log_size=log_size).to_json()


@router.get("/export", response_class=Response)
def export_lineage(
    session: SessionDep,
    runtime: RuntimeDep,
    _: ReaderDep,
    root: Reference,
    format_name: Annotated[str, Query(alias="format")],
    direction: str = "ancestors",
    depth: int | None = None,
) -> Response:
    """The lineage around `root` as a document of another standard: `prov-json` or `openlineage`."""
    way = check_direction(direction)
    written = write_export(session, root, way, format_name, runtime.catalogue, depth=depth)
    headers = {"Content-Disposition": f'attachment; filename="{written.filename}"'}
    return Response(written.data, media_type=written.media_type, headers=headers)
