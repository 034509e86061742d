from __future__ import annotations

from provenance.store.jobs import create_job, list_queued
from provenance.store.session import read_session, write_session
from tests.store.logs import Log

NOW = "2026-11-24T10:00:00Z"


def test_jobs_of_one_second_stand_in_the_order_in_which_they_were_asked_for(log: Log) -> None:
    asked = [f"run_{number * 7919 % 97:02}" for number in range(20)]  # ids say nothing of the order
    for identifier in asked:
        with write_session(log.engine) as session:
            create_job(session, identifier=identifier, kind="run", request={}, now=NOW)
    with read_session(log.engine) as session:
        assert [job.id for job in list_queued(session, "run")] == asked
    assert asked != sorted(asked)
