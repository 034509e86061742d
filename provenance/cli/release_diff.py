"""The difference between two releases, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.cli.output import print_fields, print_line, print_table


def print_diff(said: Mapping[str, Any], *, rows: int) -> None:
    """Counts first, then what moved, then the samples."""
    print_fields({side: _describe(said[side]) for side in ("before", "after")} | dict(said["counts"]))
    for item in said["classes"]:
        was, now = (_describe_class(item[side]) for side in ("before", "after"))
        print_line(f"class {item['fact_class'][7:15]} of {item['teacher']} ({item['route']}): {was} -> {now}")
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


def _describe_class(item: Mapping[str, Any] | None) -> str:
    return "absent" if item is None else f"{item['state']} {item['samples']:,}"
