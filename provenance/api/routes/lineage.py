"""Lineage: ancestors, descendants, paths, shares and taint. Reads only."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from provenance.api.deps import ReaderDep, RuntimeDep, SessionDep
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
