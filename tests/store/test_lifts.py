"""Which agreements and exceptions a gate finds: by day, by log size, however long their history is."""

from __future__ import annotations

import time
from typing import Any

import pytest

from provenance.policy.lifts import load_lifts
from provenance.store.lifts import (
    list_agreements,
    list_current_agreements,
    list_current_steps,
    list_requests,
    list_steps,
    list_uses,
)
from provenance.store.reindex import reindex
from provenance.store.session import read_session, write_session
from provenance.terms.days import parse_day
from tests.store.logs import Log, digest_of
from tests.store.statements import AT, decision, say

DAY = "2026-11-24"


def agreement(identifier: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": identifier, "step": "made", "provider": "openai", "parties": ["acme"], "models": ["*"], "routes": ["api"],
        "actions": ["train"], "students": ["*"], "document_digest": digest_of(identifier), "valid_from": "2026-01-01",
        "valid_to": None, "actor": "carla", "at": AT, "reason": None,
    } | changes  # fmt: skip


def request(identifier: str, **changes: Any) -> dict[str, Any]:
    scope = {
        "actions": ["train"], "rules": ["quality.failed-check"], "dataset": "math", "fact_classes": None, "teacher": None,
        "student": {"id": "stu_1", "name": "x", "digest": digest_of("student")},
    }  # fmt: skip
    return {
        "id": identifier, "step": "request", "request_digest": digest_of(identifier), "reason": "a study", "scope": scope,
        "expires_on": "2026-12-24", "actor": "erin", "at": AT,
    } | changes  # fmt: skip


def step(identifier: str, name: str, actor: str) -> dict[str, Any]:
    return request(identifier, step=name, actor=actor, reason=None, scope=None, expires_on=None)


def test_an_agreement_is_found_from_its_first_to_its_last_day_until_it_is_revoked(log: Log) -> None:
    say(log, "agreement", **agreement("agr_open"))
    say(log, "agreement", **agreement("agr_short", valid_to="2026-11-24"))
    say(log, "agreement", **agreement("agr_later", valid_from="2026-11-25"))
    size = say(log, "agreement", **agreement("agr_gone")) + 1
    say(log, "agreement", **agreement("agr_gone", step="revoked", reason="over"))
    with read_session(log.engine) as session:

        def found(day: str, log_size: int | None = None) -> list[str]:
            return [row.key for row in list_current_agreements(session, day, log_size)]

        assert found("2025-12-31") == []
        assert found(DAY) == ["agr_open", "agr_short"]
        assert found("2026-11-25") == ["agr_open", "agr_later"]
        assert found(DAY, size) == ["agr_open", "agr_short", "agr_gone"]
        assert found(DAY, 1) == ["agr_open"]
        assert [row.key for row in list_agreements(session)] == ["agr_gone", "agr_later", "agr_short", "agr_open"]
        assert [row.predicate["step"] for row in list_steps(session, "agreement", "agr_gone")] == ["made", "revoked"]
        assert load_lifts(session, parse_day(DAY)).ids == {"agr_open", "agr_short"}


def test_the_steps_of_an_exception_are_found_until_its_last_day(log: Log) -> None:
    say(log, "exception", **request("exc_b"))
    say(log, "exception", **request("exc_a", expires_on="2026-11-24"))
    for actor in ("carla", "luis"):
        for identifier in ("exc_b", "exc_a"):
            size = say(log, "exception", **step(identifier, "approve", actor)) + 1
    say(log, "exception", **request("exc_c", expires_on="2026-11-23"))
    say(log, "exception", **step("exc_b", "revoke", "zoe"))
    with read_session(log.engine) as session:
        rows = list_current_steps(session, DAY)
        assert [(row.key, row.predicate["step"]) for row in rows] == [
            ("exc_a", "request"), ("exc_a", "approve"), ("exc_a", "approve"),
            ("exc_b", "request"), ("exc_b", "approve"), ("exc_b", "approve"), ("exc_b", "revoke"),
        ]  # fmt: skip
        assert {row.key for row in list_current_steps(session, "2026-11-25")} == {"exc_b"}
        assert [row.key for row in list_requests(session)] == ["exc_c", "exc_a", "exc_b"]
        day = parse_day(DAY)
        assert load_lifts(session, day).ids == {"exc_a"}
        assert load_lifts(session, day, log_size=size).ids == {"exc_a", "exc_b"}
        assert load_lifts(session, day, log_size=size - 1).ids == {"exc_b"}
        assert load_lifts(session, day, log_size=2).ids == set()


def test_uses_are_decisions_that_name_it(log: Log) -> None:
    for number, held in enumerate((["exc_1"], [], ["exc_10"], ["exc_1", "exc_2"])):
        say(log, "decision", **(decision(f"dec_{number}", []) | {"exceptions": held, "note": "exc_1"}))
    with read_session(log.engine) as session:
        assert [row.key for row in list_uses(session, "exceptions", "exc_1")] == ["dec_3", "dec_0"]
        assert list_uses(session, "exceptions", "%") == list_uses(session, "agreements", "exc_1") == []


def test_a_reindexed_log_gives_the_same(log: Log) -> None:
    say(log, "agreement", **agreement("agr_1"))
    say(log, "exception", **request("exc_1"))
    for actor in ("carla", "luis"):
        say(log, "exception", **step("exc_1", "approve", actor))
    with read_session(log.engine) as session:
        before = load_lifts(session, parse_day(DAY))
    assert before.ids == {"agr_1", "exc_1"}
    with write_session(log.engine) as session:
        reindex(session)
    with read_session(log.engine) as session:
        assert load_lifts(session, parse_day(DAY)) == before


@pytest.mark.parametrize("ended", [3_000])
def test_a_long_history_costs_a_gate_nothing_to_speak_of(log: Log, ended: int) -> None:
    from provenance.store.tables import StatementRow

    say(log, "agreement", **agreement("agr_live"))
    with write_session(log.engine) as session:
        for number in range(ended):  # rows alone: it is the query that is measured
            key, row = f"exc_{number}", request(f"exc_{number}", expires_on="2026-06-01")
            session.add(StatementRow(index=1_000_000 + 2 * number, kind="exception", key=key, predicate=row))
            old = agreement(f"agr_{number}", valid_to="2026-06-01")
            session.add(StatementRow(index=1_000_001 + 2 * number, kind="agreement", key=old["id"], predicate=old))
    with read_session(log.engine) as session:
        assert list_current_steps(session, DAY) == []
        start = time.perf_counter()
        assert load_lifts(session, parse_day(DAY)).ids == {"agr_live"}
        seconds = time.perf_counter() - start
    print(f"{seconds * 1000:.1f} ms beside {2 * ended} that have ended")
    assert seconds < 1.0
