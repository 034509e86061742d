from __future__ import annotations

from provenance import __version__
from provenance.ledger.publish import Publisher
from tests.service import LocalService


def test_a_running_service_is_alive_and_ready(service: LocalService) -> None:
    assert service.get("/healthz") == {"status": "ok", "version": __version__}
    assert service.get("/readyz") == {"status": "ok", "tree_size": service.log_size()}


def test_a_log_that_cannot_be_published_makes_the_service_unready(service: LocalService) -> None:
    publisher = service.runtime.publisher
    assert isinstance(publisher, Publisher)
    publisher.failure = OSError("no space left on device")
    try:
        answer = service.client.get("/readyz")
    finally:
        publisher.failure = None
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "no space left" in answer.json()["detail"]
