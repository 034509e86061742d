"""Events follow the log to an OpenLineage endpoint: each once, in order, whatever the endpoint or the service goes through."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from sqlmodel import col, select

from provenance.errors import SettingsError
from provenance.jobs.courier import Courier
from provenance.jobs.emission import Emission, open_emission
from provenance.release.retract import retract_release
from provenance.settings import Settings
from provenance.store.session import read_session
from provenance.store.tables import Notice
from tests.export.endpoint import Endpoint, open_endpoint
from tests.recall.conftest import log_training
from tests.service import LocalService, ServiceProcess, make_samples, open_service

Told = list[tuple[str, str]]


@pytest.fixture
def service(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalService]:
    """A service with a student and samples; its courier sleeps."""
    monkeypatch.setattr("provenance.jobs.courier.LOOK_SECONDS", 3600.0)
    with open_service(tmp_path / "data", database_url=database_url) as opened:
        opened.capture(make_samples(apache=6, openai=2, llama=2))
        yield opened


def told(endpoint: Endpoint) -> Told:
    """What arrived: the job or data set, and the state."""
    return [
        (event["job"]["name"] if "job" in event else event["dataset"]["name"], event.get("eventType", "-"))
        for event in endpoint.events
    ]


def outbox(service: LocalService) -> list[Notice]:
    with read_session(service.runtime.engine) as session:
        return list(session.exec(select(Notice).order_by(col(Notice.id))).all())


def go_on(emission: Emission) -> int:
    emission.follow()
    return emission.send()


RELEASED = [("generation/mixed", "-"), ("release/tutor", "START"), ("release/tutor", "COMPLETE")]


def test_what_happens_is_told_once_in_the_order_of_the_log(service: LocalService) -> None:
    student = service.declare()
    with open_endpoint() as endpoint:
        emission = Emission(service.runtime, endpoint.url)
        service.release(student, "tutor")
        assert go_on(emission) == 3
        log_training(service, student, "run_1", service.get("/api/v1/releases/tutor@1")["id"], "tutor-1")
        service.release(student, "closed", teacher="openai/gpt-4o")
        retract_release(service.runtime, "tutor@1", reason="a book", actor="ann")
        go_on(emission)
        go_on(emission)
        assert endpoint.refused == []
        assert told(endpoint) == [
            *RELEASED,
            ("train/acme-tutor", "START"),
            ("train/acme-tutor", "COMPLETE"),
            ("release/closed", "START"),
            ("release/closed", "ABORT"),
            ("releases/tutor@1", "-"),
        ]
        again = Emission(service.runtime, endpoint.url)  # as after a restart
        assert (again.follow(), again.send(), len(endpoint.events)) == (0, 0, 8)
        assert {(notice.state, str(notice.body)) for notice in outbox(service)} == {("sent", "{}")}
    with open_endpoint() as other:
        go_on(Emission(service.runtime, other.url))
        assert other.events == endpoint.events  # a new endpoint is told everything
    runs = {event["run"]["runId"] for event in endpoint.events if "run" in event}
    assert len(runs) == 3


def test_a_crash_before_it_was_noted_how_far_the_log_was_read_tells_nothing_twice(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.release(service.declare(), "tutor")
    with open_endpoint() as endpoint:
        go_on(Emission(service.runtime, endpoint.url))
        monkeypatch.setattr("provenance.jobs.emission.find_last_entry", lambda *_: None)
        again = Emission(service.runtime, endpoint.url)
        assert again.follow() == 1
        assert (again.send(), told(endpoint)) == (0, RELEASED)


def test_an_endpoint_that_is_down_for_a_day_misses_nothing_and_nobody_waits_for_it(service: LocalService) -> None:
    runtime, start, student = service.runtime, datetime.now(UTC), service.declare()
    with open_endpoint() as endpoint:
        port = endpoint.server_address[1]
    emission = Emission(runtime, endpoint.url)
    assert service.release(student, "tutor")["state"] == "partial"
    for hours in range(1, 25):
        runtime.clock = lambda now=start + timedelta(hours=hours, minutes=hours): now  # type: ignore[misc]  # a default holds it
        assert go_on(emission) == 0
    first, *others = outbox(service)
    assert (first.state, first.attempts, {notice.attempts for notice in others}) == ("waiting", 24, {0})
    assert "did not answer" in str(first.last_error)
    assert service.release(student, "second")["state"] == "partial"
    assert go_on(emission) == 0  # the first rests still: the others wait behind it
    runtime.clock = lambda: start + timedelta(hours=26)
    with open_endpoint(port=port) as endpoint:
        assert go_on(emission) == 6
        assert told(endpoint)[:3] == RELEASED
    assert {notice.state for notice in outbox(service)} == {"sent"}


def test_what_is_answered_with_not_now_is_tried_again(service: LocalService) -> None:
    service.release(service.declare(), "tutor")
    with open_endpoint() as endpoint:
        emission = Emission(service.runtime, endpoint.url)
        start = datetime.now(UTC)
        for hours, status in enumerate((500, 503, 429, 404, 302)):
            service.runtime.clock = lambda now=start + timedelta(hours=hours): now  # type: ignore[misc]  # a default holds it
            endpoint.status = status
            assert go_on(emission) == 0
            assert str(status) in str(outbox(service)[0].last_error)
        endpoint.status = None
        service.runtime.clock = lambda: datetime.now(UTC) + timedelta(hours=6)
        assert go_on(emission) == 3
        assert told(endpoint) == RELEASED


def test_an_event_that_is_refused_for_good_holds_up_no_other(
    service: LocalService, caplog: pytest.LogCaptureFixture
) -> None:
    service.release(service.declare(), "tutor")
    with open_endpoint(refuse="generation/") as endpoint, caplog.at_level(logging.WARNING):
        assert go_on(Emission(service.runtime, endpoint.url)) == 2
        assert told(endpoint) == RELEASED[1:]
    assert [notice.state for notice in outbox(service)] == ["given-up", "sent", "sent"]
    assert "not this one" in caplog.text


def test_the_key_is_sent_and_never_shown(service: LocalService, caplog: pytest.LogCaptureFixture) -> None:
    service.release(service.declare(), "tutor")
    with open_endpoint(key="a key") as endpoint:
        emission = Emission(service.runtime, endpoint.url)
        assert go_on(emission) == 0
        key: dict[str, Any] = {"openlineage_api_key": SecretStr("a key")}
        service.runtime.settings = service.runtime.settings.model_copy(update=key)
        service.runtime.clock = lambda: datetime.now(UTC) + timedelta(minutes=1)
        assert go_on(emission) == 3
    assert "a key" not in caplog.text + str([notice.last_error for notice in outbox(service)])


def test_the_service_tells_it_by_itself_and_ends(service: LocalService) -> None:
    service.release(service.declare(), "tutor")
    with open_endpoint() as endpoint:
        service.runtime.settings = service.runtime.settings.model_copy(update={"openlineage_url": endpoint.url})
        courier = Courier(service.runtime, open_emission(service.runtime), look_seconds=0.05)
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        while len(endpoint.events) < 3 and datetime.now(UTC) < deadline:
            time.sleep(0.02)
        courier.close()
        assert told(endpoint) == RELEASED


@pytest.mark.slow
def test_a_service_that_was_killed_tells_it_when_both_are_back(start_service: Callable[..., ServiceProcess]) -> None:
    with open_endpoint() as endpoint:
        port = endpoint.server_address[1]
    killed = start_service(PROVENANCE_OPENLINEAGE_URL=endpoint.url)
    killed.capture(make_samples(apache=6, openai=2, llama=2))
    killed.release(killed.declare(), "tutor")
    killed.kill()
    with open_endpoint(port=port) as endpoint:
        killed.start()
        deadline = time.monotonic() + 90  # it may have been tried before the kill, and rests then for half a minute
        while len(endpoint.events) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (told(endpoint), endpoint.refused) == (RELEASED, [])


def test_an_endpoint_that_nothing_may_be_posted_to_is_refused(service: LocalService) -> None:
    assert open_emission(service.runtime) is None
    for url in ("http://evil.example/", "https://u:p@h.example/", "ftp://h/", "https://h/#x", "nowhere"):
        service.runtime.settings = service.runtime.settings.model_copy(update={"openlineage_url": url})
        with pytest.raises(SettingsError) as caught:
            open_emission(service.runtime)
        assert caught.value.errors[0].field == "PROVENANCE_OPENLINEAGE_URL"
        with pytest.raises(ValidationError):  # also before anything is opened
            Settings(openlineage_url=url)
