"""Pages of recalls: the list, and one recall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Response

from provenance.api.pages import PageDep, add_page
from provenance.api.rendering import quote_segment
from provenance.api.views.common import Link
from provenance.api.views.recalls import Reached, RecallAct, RecallPage, RecallRow, RecallsPage, Told
from provenance.recall.show import describe_recall, summarise_recall
from provenance.store.recalls import get_recall, list_recalls

router = APIRouter()


@add_page(router, "/recalls", "json", "csv")
def index_recalls(asked: PageDep) -> Response:
    """Which recalls there are, newest first."""
    rows = [summarise_recall(logged) for logged in list_recalls(asked.session)]
    return asked.answer(RecallsPage([_fill_row(row) for row in rows]))


@add_page(router, "/recalls/{identifier}", "json", "csv")
def show_recall(identifier: str, asked: PageDep) -> Response:
    """One recall."""
    return asked.answer(fill_recall(describe_recall(asked.session, get_recall(asked.session, identifier))))


def state_word(state: str) -> str:
    """The name under which a recall's state is shown: `open` alone is another thing's."""
    return "recall-open" if state == "open" else state


def fill_recall(said: Mapping[str, Any]) -> RecallPage:
    """The page of a recall as the API describes it."""
    names = ("id", "reason", "opened_by", "opened_at", "closed_by", "closed_at", "closing_reason", "log_size", "root")
    return RecallPage(
        **{name: said[name] for name in names},
        state=state_word(said["state"]),
        source=said["source_text"],
        reach_digest=said["reach_digest"],
        samples=said["counts"]["samples"],
        tokens=said["counts"]["tokens"],
        rows=list(_fill_reach(said["reach"])) if said["reach"] else [],
        acts=[
            RecallAct(
                state="act-open" if item["state"] == "open" else item["state"],
                **{name: item[name] for name in ("id", "text", "actor", "at", "note")},
            )
            for item in said["acts"]
        ],
        told=[Told(item["address"], item["state"], item["attempts"], item["last_error"]) for item in said["notices"]],
        entries=[
            Link(f"{item['step']}, entry {item['index']}", f"/log/entries/{item['index']}") for item in said["entries"]
        ],
    )


def _fill_row(said: Mapping[str, Any]) -> RecallRow:
    return RecallRow(
        **{name: said[name] for name in ("id", "opened_at", "opened_by", "acts_settled", "acts_total")},
        state=state_word(said["state"]),
        source=said["source_text"],
        releases=said["counts"]["releases"],
        models=said["counts"]["models"],
    )


def _fill_reach(reach: Mapping[str, Any]) -> Iterator[Reached]:
    for item in reach["classes"]:
        detail = f"{item['samples']:,} samples of {item['dataset']}"
        url = f"/samples?teacher={quote_segment(item['teacher'])}"
        yield Reached("Samples", Link(item["teacher"], url), item["how"], item["generation"], detail)
    for first, last in reach["indices"]:
        yield Reached(
            "Samples", Link(f"{first} to {last}", f"/samples/{first}"), "direct", 0, f"{last - first + 1:,} samples"
        )
    for item in reach["releases"]:
        name = f"{item['name']}@{item['version']}"
        share = float(item["tokens_share"])
        url = f"/releases/{quote_segment(name)}"
        yield Reached("Release", Link(name, url), item["how"], item["generation"], f"from {item['dataset']}", share)
    for item in reach["runs"]:
        yield Reached("Run", Link(item["id"], f"/runs/{item['id']}"), item["how"], item["generation"], item["phase"])
    for item in reach["models"]:
        link = Link(item["name"], f"/models/{quote_segment(item['id'])}")
        yield Reached("Model", link, item["how"], item["generation"], item["kind"])
    for item in reach["reports"]:
        link = Link(item["id"], f"/reports/{item['id']}")
        yield Reached("Report", link, item["how"], item["generation"], item["kind"])
