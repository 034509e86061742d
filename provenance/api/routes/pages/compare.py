"""The page that shows a stored decision as it was known then, as it is known today, and by the terms of today."""

from __future__ import annotations

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.policies import fill_totals
from provenance.api.views.compare import ComparePage, Difference, Standpoint
from provenance.policy.known import Known
from provenance.policy.past import compare_past
from provenance.store.log import get_head, get_statement

router = APIRouter()
NAMES = {
    "as_known_then": "As it was known then",
    "as_known_today": "As it is known today",
    "by_todays_terms": "By the terms of today",
}


@add_page(router, "/decisions/{identifier}/compare", "json", "csv")
def compare_decision(identifier: str, asked: PageDep) -> Response:
    """One decision in three lights."""
    return asked.answer(fill_compare(asked, identifier))


def fill_compare(asked: Asked, identifier: str) -> ComparePage:
    """The page of a stored decision in time."""
    runtime, row = asked.runtime, get_statement(asked.session, "decision", identifier)
    now = Known(get_head(asked.session).size, runtime.catalogue, runtime.pack)
    said = compare_past(asked.session, row, now=now, today=runtime.clock().date())
    standpoints = [
        Standpoint(
            name=words,
            verdict=said[name]["verdict"],
            documents=[document["id"] for document in said[name]["documents"]],
            terms_digest=said[name]["terms_digest"],
            policy_digest=said[name]["policy"]["digest"],
            log_size=said[name]["log_size"],
        )
        for name, words in NAMES.items()
    ]
    differences = [
        Difference(f"{NAMES[item['from']]} → {NAMES[item['to']].lower()}", item["text"], fill_totals(item["flips"]))
        for item in said["differences"]
    ]
    return ComparePage(identifier, said["decided_at"], said["today"], standpoints, differences)
