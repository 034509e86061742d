"""The difference between two releases, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provenance.cli.output import print_fields, print_line, print_table


def print_diff(said: Mapping[str, Any], *, rows: int) -> None:
    """Counts first, then what moved, then the samples."""
    print_fields({side: _describe(said[side]) for side in ("before", "after")} | dict(said["counts"]))
    for line in _fold_classes(said["classes"]):
        print_line(line)
    for kind, name in (("documents", "id"), ("packs", "name"), ("conditions", "key")):
        for item in said[kind]:
            print_line(f"{kind.removesuffix('s')} {item['change']}: {item[name]}")
    if rows and said["rows"]:
        names = ("index", "change", "teacher", "before", "after")
        print_table(names, ([str(row[name]) for name in names] for row in said["rows"][:rows]), empty="")
        if said["next_after"] is not None or len(said["rows"]) > rows:
            print_line("more samples differ: see --rows and --json")


def _describe(side: Mapping[str, Any]) -> str:
    counts, verdict = side["counts"], side["decision"]["verdict"]
    released, held = counts["released"], counts["quarantined"]
    return (
        f"{side['name']}@{side['version']} is {side['state']} ({verdict}): {released:,} released, {held:,} quarantined"
    )


def _fold_classes(classes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for all classes of a teacher that share one fate."""
    folds: dict[tuple[str, str, str, str], list[tuple[int, int]]] = {}
    for item in classes:
        sides = [item[side] or {"state": "absent", "samples": 0} for side in ("before", "after")]
        fate = (item["teacher"], item["route"], *(side["state"] for side in sides))
        folds.setdefault(fate, []).append((sides[0]["samples"], sides[1]["samples"]))
    for (teacher, route, was, now), counts in folds.items():
        before, after = (sum(column) for column in zip(*counts, strict=True))
        many = "1 class" if len(counts) == 1 else f"{len(counts):,} classes"
        yield f"{many} of {teacher} ({route}): {was} {before:,} -> {now} {after:,}"
