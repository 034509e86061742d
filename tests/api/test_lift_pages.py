"""The pages of agreements and exceptions over a real record, and what a decision's page shows of those that it used."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.api.test_agreements import AGREEMENT
from tests.api.test_exceptions import BAR, LAST, approve, ask_for, people
from tests.service import LocalService

__all__ = ["people"]
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def made(service: LocalService, people: dict[str, dict[str, str]]) -> dict[str, str]:
    """An agreement, an exception, and a stored decision that used each."""
    agreed, excepted = service.declare(name="acme-agreed"), service.declare(name="acme-excepted")
    agreement = service.post("/api/v1/agreements", AGREEMENT | {"students": ["acme-agreed"]}, expect=201)["id"]
    exception = ask_for(service, people, excepted, dataset="mixed", teacher=None, actions=["train", "release"])
    approve(service, people, exception)
    asked: dict[str, Any] = {"dataset": "mixed", "selection": {"teacher": "openai/gpt-4o"}}
    decisions = [
        service.post("/api/v1/decisions", asked | {"student": student}, expect=201)["id"]
        for student in (agreed, excepted)
    ]
    return {"agreement": agreement, "exception": exception, "agreed": decisions[0], "excepted": decisions[1]}


def page(service: LocalService, path: str) -> str:
    answer = service.client.get(path, headers=HTML)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


@pytest.mark.parametrize("kind", ["agreement", "exception"])
def test_the_three_forms_of_list_and_page_agree(service: LocalService, made: dict[str, str], kind: str) -> None:
    for path, field in ((f"/{kind}s", "rows"), (f"/{kind}s/{made[kind]}", "steps")):
        html = page(service, path)
        view = service.get(f"{path}.json")
        rows = list(csv.DictReader(io.StringIO(service.client.get(f"{path}.csv").text)))
        assert made[kind] in html
        assert len(rows) == len(view[field]) > 0
        assert [list(row) for row in rows] == [list(said) for said in view[field]]
    shown = service.get(f"/{kind}s/{made[kind]}.json")
    used = made["agreed" if kind == "agreement" else "excepted"]
    assert used in [use["id"] for use in shown["uses"]]
    assert f"/decisions/{used}" in page(service, f"/{kind}s/{made[kind]}")


def test_an_exception_s_page_names_scope_people_and_end(service: LocalService, made: dict[str, str]) -> None:
    html = page(service, f"/exceptions/{made['exception']}")
    for word in ("a study for the regulator", f"/policies#{BAR}", "erin", "carla, luis", "mixed", "acme-excepted"):
        assert word in html
    view = service.get(f"/exceptions/{made['exception']}.json")
    assert (view["state"], view["expires_on"], view["teacher"]) == ("active", LAST, None)


def test_a_decision_s_page_shows_what_it_used_and_what_was_set_aside(
    service: LocalService, made: dict[str, str]
) -> None:
    html = page(service, f"/decisions/{made['agreed']}")
    assert f'href="/agreements/{made["agreement"]}"' in html
    html = page(service, f"/decisions/{made['excepted']}")
    assert f'href="/exceptions/{made["exception"]}"' in html
    assert "Set aside by an exception (1)" in html
    assert "Failed (0)" in html
    assert f'href="/terms/{made["exception"]}"' not in html
    answer = service.get(f"/decisions/{made['excepted']}.json")["answer"]
    assert (answer["exceptions"], answer["verdict"]) == ([made["exception"]], "allow-with-conditions")
    assert {reason["rule"]: reason["lifted_by"] for reason in answer["reasons"]}[BAR] == made["exception"]


def test_the_entry_leads_to_the_page_and_policies_lead_to_the_lists(
    service: LocalService, made: dict[str, str]
) -> None:
    for kind in ("agreement", "exception"):
        entry = service.get(f"/api/v1/{kind}s/{made[kind]}")["entry"]
        assert f"/{kind}s/{made[kind]}" in page(service, f"/log/entries/{entry}")
        assert f'href="/{kind}s"' in page(service, "/policies")


@pytest.mark.parametrize("kind", ["agreement", "exception"])
def test_the_search_leads_to_it(service: LocalService, made: dict[str, str], kind: str) -> None:
    found = service.client.get("/search", params={"q": made[kind]}, headers=HTML, follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, f"/{kind}s/{made[kind]}")


def test_a_report_names_the_override(service: LocalService, made: dict[str, str]) -> None:
    release = service.release("acme-excepted", "excepted", teacher="openai/gpt-4o")
    report = service.report(f"excepted@{release['version']}", formats=("json",))
    text = json.dumps(service.get(f"/api/v1/reports/{report['id']}.json"))
    assert f"exception {made['exception']} set aside {BAR}" in text


def test_what_is_not_there_has_no_page(service: LocalService) -> None:
    for path in ("/agreements/agr_none", "/exceptions/exc_none", "/exceptions/exc_none.json"):
        assert service.client.get(path).status_code == 404
