"""Asking for an erasure, approving it, and what is refused; what is then left is looked for in `tests/jobs`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.erasure import Told
from tests.service import LocalService, open_service


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One for the module: what a test erases, the next ones do not ask for."""
    with open_service(tmp_path_factory.mktemp("told") / "data") as service:
        yield Told(service)


def test_a_preview_changes_nothing(told: Told) -> None:
    size = told.service.log_size()
    shown = told.service.post("/api/v1/erasures/preview", {"external_ids": ["told-3"]}, expect=200)
    assert (shown["count"], shown["releases"][0]["samples"]) == (1, 1)
    assert told.service.log_size() == size


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "indices"),
        ({"indices": [0]}, 404, "indices[0]"),
        ({"indices": [10**9]}, 404, "indices[0]"),
        ({"indices": ["9-6"]}, 422, "indices[0]"),
        ({"indices": ["x"]}, 422, "indices[0]"),
        ({"indices": [-1]}, 422, "indices[0]"),
        ({"external_ids": ["nobody"]}, 404, "external_ids[0]"),
        ({"dataset": "nothing"}, 404, "dataset"),
        ({"selection": {"route": "weights"}}, 422, "dataset"),
        ({"dataset": "told", "selection": {"route": "api"}}, 422, "indices"),
        ({"dataset": "told", "selection": {"colour": "blue"}}, 422, "selection.colour"),
        ({"external_ids": ["told-1"], "reason": " "}, 422, "reason"),
        ({"external_ids": ["told-1"], "reason": "x" * 2001}, 422, "reason"),
    ],
)
def test_what_cannot_be_erased_is_refused_and_changes_nothing(
    told: Told, body: dict[str, Any], status: int, field: str
) -> None:
    size = told.service.log_size()
    problem = told.ask(expect=status, **body)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert told.service.log_size() == size


def test_nobody_approves_what_he_asked_for(told: Told) -> None:
    service = told.service
    asker = service.as_role("compliance")
    asked = service.post("/api/v1/erasures", {"external_ids": ["told-1"], "reason": "r"}, expect=201, headers=asker)
    size = service.log_size()
    refused = told.approve(asked["id"], expect=403, headers=asker)
    assert "another person" in refused["detail"]
    told.approve(asked["id"], expect=403, headers=service.as_role("engineer"))
    told.approve("era_unknown", expect=404)
    assert service.log_size() == size
    assert service.get(f"/api/v1/erasures/{asked['id']}")["state"] == "requested"
    done = service.wait(told.approve(asked["id"])["status_url"])
    assert (done["state"], done["requester"], done["approver"].partition("-")[0]) == (
        "done",
        asked_by(service, asked),
        "counsel",
    )
    assert told.approve(asked["id"])["id"] == asked["id"]  # the same approver again: the same answer
    told.approve(asked["id"], expect=409, headers=service.as_role("counsel"))
    assert [row["phase"] for row in service.get(f"/api/v1/erasures/{asked['id']}")["entries"]] == [
        "requested", "approved", "done",
    ]  # fmt: skip


def asked_by(service: LocalService, asked: dict[str, Any]) -> str:
    return str(service.get(f"/api/v1/erasures/{asked['id']}")["requester"])


def test_the_same_key_asks_once(told: Told) -> None:
    body = {"external_ids": ["told-20"], "reason": "r"}
    first, second = (
        told.service.post("/api/v1/erasures", body, expect=201, headers={"Idempotency-Key": "one"}) for _ in range(2)
    )
    assert first == second
    other = {"external_ids": ["told-20"], "reason": "another"}
    told.service.post("/api/v1/erasures", other, expect=409, headers={"Idempotency-Key": "one"})
