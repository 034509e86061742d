"""What may be logged as an agreement or exception, and in which form; the refusals stand with the routes' tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from provenance.errors import MalformedError
from provenance.policy.pack import Pack
from provenance.policy.requests import MAXIMUM_DAYS, check_agreement, check_exception
from provenance.terms.agreement import parse_agreement
from provenance.terms.catalogue import Catalogue

TODAY = dt.date(2026, 11, 24)
AGREEMENT: dict[str, Any] = {
    "provider": "Moonshot AI", "parties": ["acme", "acme"], "models": ["kimi-*"], "routes": ["*"], "actions": ["train"],
    "students": ["*"], "document_digest": "sha256:" + "1" * 64, "valid_from": "2026-01-01T23:30:00-02:00", "valid_to": None,
}  # fmt: skip
EXCEPTION: dict[str, Any] = {
    "reason": " a study ", "student": "acme-1b", "actions": ["train", "release", "train"],
    "rules": ["quality.failed-check", "competition.competing-model"], "dataset": "math", "expires_on": "2026-12-01",
}  # fmt: skip


def test_an_agreement_is_logged_under_the_catalogue_s_name_with_days_in_utc(catalogue: Catalogue) -> None:
    name = catalogue.find_provider("moonshot")
    assert name is not None
    checked = check_agreement(AGREEMENT | {"provider": "MOONSHOT"}, catalogue)
    assert (checked["provider"], checked["parties"]) == (name.name, ["acme"])
    assert (checked["valid_from"], checked["valid_to"]) == ("2026-01-02", None)
    assert parse_agreement(checked).valid_from == dt.date(2026, 1, 2)
    assert check_agreement(checked, catalogue) == checked


@pytest.mark.parametrize("value", [None, "x", 3, [], [{}]])
def test_what_is_no_object_is_refused(catalogue: Catalogue, pack: Pack, value: Any) -> None:
    with pytest.raises(MalformedError):
        check_agreement(value, catalogue)
    with pytest.raises(MalformedError):
        check_exception(value, pack=pack, today=TODAY)


def test_all_errors_of_a_request_are_named_at_once(catalogue: Catalogue, pack: Pack) -> None:
    with pytest.raises(MalformedError) as caught:
        check_agreement(AGREEMENT | {"models": [], "valid_from": None, "routes": ["x"]}, catalogue)
    assert {error.field.partition(".")[2] for error in caught.value.errors} == {"models", "valid_from", "routes"}
    with pytest.raises(MalformedError) as caught:
        check_exception({"rules": ["export-control.listed-party"], "extra": 1}, pack=pack, today=TODAY)
    named = {error.field.partition(".")[2] for error in caught.value.errors}
    assert named == {"rules", "extra", "reason", "student", "actions", "expires_on", "dataset"}


def test_an_exception_is_logged_sorted_and_says_what_it_leaves_open(pack: Pack) -> None:
    assert check_exception(EXCEPTION, pack=pack, today=TODAY) == {
        "reason": "a study", "student": "acme-1b", "actions": ["release", "train"],
        "rules": ["competition.competing-model", "quality.failed-check"], "expires_on": "2026-12-01",
        "dataset": "math", "fact_classes": None, "teacher": None,
    }  # fmt: skip


@pytest.mark.parametrize(("days", "good"), [(-1, False), (0, True), (MAXIMUM_DAYS, True), (MAXIMUM_DAYS + 1, False)])
def test_its_last_day_is_today_at_the_earliest_and_in_ninety_days_at_the_latest(
    pack: Pack, days: int, good: bool
) -> None:
    body = EXCEPTION | {"expires_on": (TODAY + dt.timedelta(days=days)).isoformat()}
    if good:
        assert check_exception(body, pack=pack, today=TODAY)["expires_on"] == body["expires_on"]
        return
    with pytest.raises(MalformedError):
        check_exception(body, pack=pack, today=TODAY)
