"""Packs out of the log, and what was known on a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import MalformedError, NotFoundError
from provenance.govern import record_terms
from provenance.ledger.append import format_time
from provenance.policy.known import load_known, parse_terms_day
from provenance.policy.pack import build_pack, load_pack
from provenance.policy.recorded import choose_pack, find_pack_statement, load_recorded_pack, policy_predicate
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.session import read_session
from tests.conftest import Clock


@pytest.fixture
def runtime(tmp_path: Path, database_url: str, clock: Clock) -> Iterator[Runtime]:
    runtime = open_runtime(Settings(data_dir=tmp_path / "data", database_url=database_url), clock)
    try:
        yield runtime
    finally:
        runtime.close()


def other_pack() -> Any:
    texts = {**load_pack().texts}
    texts["quality"] = texts["quality"].replace("quality gate", "quality bar")
    return build_pack(texts, load_pack().schema_text)


def say(runtime: Runtime, pack: Any, state: str) -> int:
    predicate = policy_predicate(pack, state=state, author="ada", at=format_time(runtime.clock()))
    return runtime.append("policy", predicate, content=pack.content()).tree_size


def test_a_pack_out_of_the_log_has_the_digest_of_the_one_that_was_loaded(runtime: Runtime) -> None:
    with read_session(runtime.engine) as session:
        found = load_recorded_pack(session)
    shipped = load_pack()
    assert found.digest == runtime.pack.digest == shipped.digest
    assert found.rules == shipped.rules
    assert found.describe() == shipped.describe()


def test_a_proposal_is_not_in_force_and_what_was_approved_is(runtime: Runtime, clock: Clock) -> None:
    size = say(runtime, other_pack(), "proposed")
    with read_session(runtime.engine) as session:
        assert load_recorded_pack(session).digest == load_pack().digest
    clock.advance(days=1)
    say(runtime, other_pack(), "approved")
    with read_session(runtime.engine) as session:
        assert load_recorded_pack(session).digest == other_pack().digest
        assert load_recorded_pack(session, size).digest == load_pack().digest
        assert choose_pack(session, load_pack()).pack.digest == other_pack().digest
        row = find_pack_statement(session)
        assert row
        assert row.predicate["state"] == "approved"
        with pytest.raises(NotFoundError):
            load_recorded_pack(session, 1)


def test_known_now_is_what_is_in_force_and_known_then_is_what_was(runtime: Runtime, clock: Clock) -> None:
    first = clock.now
    before = (runtime.catalogue.digest, runtime.pack.digest)
    clock.advance(days=3)
    value = {**runtime.catalogue.get("smollm-apache").to_json(), "notes": "read again"}
    record_terms(runtime, value, by="ada")
    say(runtime, other_pack(), "approved")
    after = (runtime.catalogue.digest, other_pack().digest)

    def known(text: str) -> tuple[str, str]:
        with read_session(runtime.engine) as session:
            found = load_known(session, text, now=clock.now)
        return found.catalogue.digest, found.pack.digest

    for moment in (format_time(first), "2026-11-24", "2026-11-26", format_time(clock.now - timedelta(seconds=1))):
        assert known(moment) == before, moment
    for moment in (format_time(clock.now), "2026-11-27", "2026-11-27T11:00:00+01:00"):
        assert known(moment) == after, moment


@pytest.mark.parametrize("text", ["2026-11-23", "2026-11-24T09:59:59Z", "2026-11-25", "2026-11-24T10:00:01Z", "x", ""])
def test_before_the_log_began_and_after_now_nothing_is_known(runtime: Runtime, text: str) -> None:
    with read_session(runtime.engine) as session, pytest.raises(MalformedError) as caught:
        load_known(session, text, now=runtime.clock())
    assert caught.value.errors[0].field == "known_at"


def test_an_empty_log_knew_nothing(engine: Any, clock: Clock) -> None:
    with read_session(engine) as session, pytest.raises(NotFoundError):
        load_known(session, "2026-11-24", now=clock.now)


def test_the_terms_of_a_day_that_has_not_come_are_not_known(clock: Clock) -> None:
    today = clock.now.date()
    assert parse_terms_day("today", today=today) == parse_terms_day("2026-11-24", today=today) == today
    for text in ("2026-11-25", "tomorrow"):
        with pytest.raises(MalformedError) as caught:
            parse_terms_day(text, today=today)
        assert caught.value.errors[0].field == "terms_of"
