"""The page that compares two versions of one release."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.views.common import Link
from provenance.api.views.release_diff import Change, ClassChange, DiffSide, ReleaseDiffPage, SampleChange
from provenance.errors import FieldError, NotFoundError
from provenance.release.compare import CHANGED, compare_releases
from provenance.release.indices import CHANGES
from provenance.release.indices import Change as SampleMove
from provenance.store.log import MAX_INDEX
from provenance.store.pages import name_students

router = APIRouter()
VERSIONS = re.compile(r"([1-9]\d{0,8})\.\.([1-9]\d{0,8})\Z", re.ASCII)
ROWS = 100


@add_page(router, "/releases/{name}/{versions}", "json", "csv")
def show_diff(
    name: str,
    versions: str,
    asked: PageDep,
    change: Annotated[SampleMove | None, Query()] = None,
    after: Annotated[int, Query(ge=-1, le=MAX_INDEX)] = -1,
) -> Response:
    """What differs between two versions of a release."""
    found = VERSIONS.match(versions)
    if found is None:
        expected = "two versions, such as 1..2"
        raise NotFoundError(f"there is no page {versions!r}", FieldError("versions", versions, expected))
    changes = CHANGED if change is None else (change,)
    references = (f"{name}@{found[1]}", f"{name}@{found[2]}")
    said = compare_releases(asked.runtime, asked.session, references, changes=changes, after=after, limit=ROWS)
    return asked.answer(fill_diff(asked, said, f"/releases/{quote(name)}/{versions}", change))


def fill_diff(asked: Asked, said: Mapping[str, Any], url: str, change: str | None) -> ReleaseDiffPage:
    """The page of a comparison."""
    students = name_students(asked.session)
    query = {"change": change} if change else {}
    following = said["next_after"]
    return ReleaseDiffPage(
        before=_fill_side(said["before"], students),
        after=_fill_side(said["after"], students),
        counts=said["counts"],
        classes=_fold_classes([item for item in said["classes"] if item not in said["quarantine"]]),
        quarantine=_fold_classes(said["quarantine"]),
        documents=[_fill_change(item, "id", _say_document) for item in said["documents"]],
        packs=[_fill_change(item, "name", lambda pack: str(pack["digest"])) for item in said["packs"]],
        conditions=[
            Change(
                f"{item['type']} ({item['document']}, {item['clause']})",
                item["change"],
                *(
                    item[side] and f"{item[side]['status']}: {item[side]['requirement']}"
                    for side in ("before", "after")
                ),
            )
            for item in said["conditions"]
        ],
        shown=change,
        rows=[SampleChange(**item) for item in said["rows"]],
        next_url=None if following is None else f"{url}?{urlencode({**query, 'after': following})}",
        choices=[Link("added and removed", url), *(Link(name, f"{url}?change={name}") for name in CHANGES)],
    )


def _fill_side(side: Mapping[str, Any], students: Mapping[str, str]) -> DiffSide:
    name = f"{side['name']}@{side['version']}"
    return DiffSide(
        name=name,
        url=f"/releases/{quote(name, safe='@')}",
        student=students.get(side["student"], side["student"]),
        selection=", ".join(f"{field} {value}" for field, value in sorted(side["selection"].items())) or "all of it",
        released=side["counts"]["released"],
        quarantined=side["counts"]["quarantined"],
        decision_id=side["decision"]["id"],
        verdict=side["decision"]["verdict"],
        decided_at=side["decision"]["decided_at"],
        **{name: side[name] for name in ("state", "dataset", "log_size", "policy_digest", "terms_digest")},
    )


def _fold_classes(items: Sequence[Mapping[str, Any]]) -> list[ClassChange]:
    """Classes that differ in what no reader looks for (the day, say) are one row, greatest first."""
    rows: dict[ClassChange, tuple[int, int, int]] = {}
    for item in items:
        before, after = item["before"] or {}, item["after"] or {}
        why = after if after.get("rule") else before
        key = ClassChange(
            **{name: item[name] for name in ("teacher", "route", "change")},
            before=before.get("state"),
            after=after.get("state"),
            classes=0,
            samples_before=0,
            samples_after=0,
            rule=why.get("rule"),
            text=why.get("text"),
        )
        classes, old, new = rows.get(key, (0, 0, 0))
        rows[key] = (classes + 1, old + before.get("samples", 0), new + after.get("samples", 0))
    folded = [
        replace(key, classes=classes, samples_before=old, samples_after=new)
        for key, (classes, old, new) in rows.items()
    ]
    return sorted(folded, key=lambda row: -max(row.samples_before, row.samples_after))


def _fill_change(item: Mapping[str, Any], name: str, say: Any) -> Change:
    return Change(item[name], item["change"], *(item[side] and say(item[side]) for side in ("before", "after")))


def _say_document(document: Mapping[str, Any]) -> str:
    days = f"from {document['effective_from'] or 'an unknown day'}"
    until = f" to {document['effective_to']}" if document["effective_to"] else ""
    read = "verified" if document["verified"] else "not verified"
    return f"{document['title']}, version {document['version'] or 'unknown'}, {days}{until}, {read}"
