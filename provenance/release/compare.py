"""What differs between two releases: samples, classes of facts, documents, packs, conditions, quarantine.

Samples are compared by the index of their entry, streamed; everything else by what the two decisions stored. A release that
was withdrawn, recalled or erased can be compared too: what it was stays on record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from provenance.errors import ConflictError, FieldError, NotFoundError
from provenance.policy.gate import RELEASABLE
from provenance.release.build import release_folder
from provenance.release.indices import Change, Run, Tally, merge_runs, read_runs, tally
from provenance.release.manifest import LOG_PROOF
from provenance.runtime import Runtime
from provenance.store.log import find_content, get_statement
from provenance.store.releases import get_release
from provenance.store.samples import name_classes

CHANGED: tuple[Change, ...] = ("added", "removed")
SHOWN = ("id", "name", "version", "state", "dataset", "student", "log_size", "counts", "manifest_digest")


@dataclass(frozen=True)
class _Side:
    """One of the two: the release, its decision, and the whole answer by class of facts."""

    release: Mapping[str, Any]
    decision: Mapping[str, Any]
    answer: Mapping[str, Any]
    classes: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return f"{self.release['name']}@{self.release['version']}"

    def describe(self) -> dict[str, Any]:
        said = self.decision
        return {
            **{name: self.release[name] for name in SHOWN},
            "decision": {"id": said["id"], "verdict": said["verdict"], "decided_at": said["decided_at"]},
            "selection": said["selection"]["filter"],
            "policy_digest": said["policy"]["digest"],
            "terms_digest": said["terms_digest"],
        }

    def runs(self, runtime: Runtime) -> Iterator[Run]:
        if not self.release["counts"]["released"]:
            return iter(())
        folder = release_folder(runtime, self.release["name"], self.release["version"])
        return read_runs(folder / LOG_PROOF, self.release["index_set_digest"])

    def place(self, index: int, digest: str) -> str:
        """Where a sample is that this release does not hold."""
        if index >= self.release["log_size"]:
            return "not-logged-yet"
        item = self.classes.get(digest)
        if item is None:
            return "not-selected"
        return "held-back" if _is_released(item) else "quarantined"  # held back: erased, or named by a recall


def compare_releases(
    runtime: Runtime,
    session: Session,
    references: tuple[str, str],
    *,
    changes: Sequence[Change] = CHANGED,
    after: int = -1,
    limit: int = 100,
) -> dict[str, Any]:
    """From the first release to the second.

    Args:
        references: two releases, each by id or `name@version`.
        changes: which samples are listed; all are counted.
        after: list only samples with a greater index.
        limit: the most samples that are listed.
    Raises:
        NotFoundError: there is no such release, or its answer or proof is no longer stored.
        ConflictError: one of them is still being built, or failed.
        DigestMismatchError: a proof names other entries than the log commits to.
    """
    before, now = (_read_side(session, reference) for reference in references)
    found = tally(merge_runs(before.runs(runtime), now.runs(runtime)), changes, after, limit)
    classes = list(_compare_classes(before, now))
    return {
        "before": before.describe(),
        "after": now.describe(),
        "counts": found.counts,
        "classes": classes,
        "quarantine": [item for item in classes if _moved(item)],
        "documents": _compare_by(_documents(before), _documents(now), "id"),
        "packs": _compare_by(_packs(before), _packs(now), "name"),
        "conditions": _compare_conditions(before, now),
        "rows": _fill_rows(session, found, before, now),
        "next_after": found.rows[-1][0] if found.more else None,
    }


def _read_side(session: Session, reference: str) -> _Side:
    release = get_release(session, reference)
    if release["decision"] is None:
        expected = "a release that is built"
        raise ConflictError(
            f"release {release['name']}@{release['version']} is {release['state']}: there is nothing to compare",
            FieldError("release", reference, expected),
        )
    row = get_statement(session, "decision", release["decision"]["id"])
    content = find_content(session, row.index)
    if content is None:
        raise NotFoundError(f"the answer of decision {row.key} is no longer stored")
    classes = {item["fact_class"]: item for item in content["classes"]}
    return _Side(release, row.predicate, content["answer"], classes)


def _is_released(item: Mapping[str, Any]) -> bool:
    return item["answer"]["verdict"] in RELEASABLE


def _compare_classes(before: _Side, after: _Side) -> Iterator[dict[str, Any]]:
    """Classes that came, went, were judged otherwise or hold another number of samples."""
    for digest in sorted({*before.classes, *after.classes}):
        old, new = before.classes.get(digest), after.classes.get(digest)
        teacher = (new or old or {})["facts"]["teacher"]
        said = {"before": _describe_class(old), "after": _describe_class(new)}
        if said["before"] != said["after"]:
            yield {
                "fact_class": digest,
                "teacher": f"{teacher['provider']}/{teacher['model']}",
                "route": teacher["route"],
                "change": "came" if old is None else "went" if new is None else "changed",
                **said,
            }


def _describe_class(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if item is None:
        return None
    answer = item["answer"]
    why = None if _is_released(item) else next((one for one in answer["reasons"] if one["effect"] != "permit"), None)
    return {
        "state": "released" if _is_released(item) else "quarantined",
        "verdict": answer["verdict"],
        "samples": item["samples"],
        "rule": why and why["rule"],
        "text": why and why["text"],
    }


def _moved(item: Mapping[str, Any]) -> bool:
    """Whether a class went into quarantine or came out of it."""
    states = [(item[side] or {}).get("state") for side in ("before", "after")]
    return "quarantined" in states and states[0] != states[1]


def _documents(side: _Side) -> list[Mapping[str, Any]]:
    found = {item["id"]: item for each in side.classes.values() for item in each["answer"]["documents"]}
    return list(found.values())


def _packs(side: _Side) -> Sequence[Mapping[str, Any]]:
    packs: Sequence[Mapping[str, Any]] = side.answer["policy"]["packs"]
    return packs


def _compare_conditions(before: _Side, after: _Side) -> list[dict[str, Any]]:
    def keyed(side: _Side) -> list[dict[str, Any]]:
        parts = ("document", "type", "clause")
        return [{"key": " ".join(str(item[name]) for name in parts), **item} for item in side.release["conditions"]]

    found = _compare_by(keyed(before), keyed(after), "key")
    names = ("type", "document", "clause")
    return [{**{name: (item["after"] or item["before"])[name] for name in names}, **item} for item in found]


def _compare_by(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], name: str
) -> list[dict[str, Any]]:
    """What was added, removed or changed between two lists whose items are known by the field `name`."""
    old, new = {item[name]: item for item in before}, {item[name]: item for item in after}
    return [
        {
            name: key,
            "change": "added" if key not in old else "removed" if key not in new else "changed",
            "before": old.get(key),
            "after": new.get(key),
        }
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _fill_rows(session: Session, found: Tally, before: _Side, after: _Side) -> list[dict[str, Any]]:
    named = name_classes(session, [index for index, _ in found.rows])
    rows = []
    for index, change in found.rows:
        teacher, digest = named[index]
        rows.append(
            {
                "index": index,
                "change": change,
                "teacher": teacher,
                "fact_class": digest,
                "before": before.place(index, digest) if change == "added" else "released",
                "after": after.place(index, digest) if change == "removed" else "released",
            }
        )
    return rows
