"""What has to be done about what a recall reached: one act a thing, in an order that depends on nothing but the reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provenance.store.recall_steps import Act

STOP, FLAG, REPLACE, REVIEW, REISSUE, NOTIFY = (
    "stop-run", "flag-run", "replace-release", "review-model", "reissue-report", "notify",
)  # fmt: skip
AUTOMATIC = frozenset({STOP, FLAG, NOTIFY})  # the service does these; a person may settle them too
GOING = frozenset({"plan", "start", "resume"})


def list_acts(reach: Mapping[str, Any], *, running: str, notify: Sequence[str]) -> list[Act]:
    """The acts of a recall.

    Args:
        reach: what it reached, as it is frozen.
        running: `stop` or `flag`: what happens to trainings that are going.
        notify: addresses that are told, `https://...` or `mailto:...`.
    """
    return [Act(f"{kind}:{target}", kind, target, text) for kind, target, text in _list(reach, running, notify)]


def _list(reach: Mapping[str, Any], running: str, notify: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for address in notify:
        yield NOTIFY, address, f"Tell {address}."
    for run in reach["runs"]:
        if run["phase"] in GOING:
            yield (
                (STOP, run["id"], "Stop the training.")
                if running == "stop"
                else (FLAG, run["id"], "Mark the training; it goes on.")
            )
    for release in reach["releases"]:
        name = f"{release['name']}@{release['version']}"
        yield REPLACE, release["id"], f"Release {name}: release again what is left, and tell who has a copy."
    for model in reach["models"]:
        if model["kind"] != "trained":
            continue  # others made it; what was made of it is in the list itself
        yield REVIEW, model["id"], f"Model {model['name']}: retrain it, retire it, or say why it may stay."
    for report in reach["reports"]:
        yield REISSUE, report["id"], f"Report {report['id']} ({report['kind']}): issue it again."
