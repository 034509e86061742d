from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.client.client import Client
from provenance.errors import AuthenticationError, MalformedError, NotFoundError, SettingsError, UnavailableError
from tests.client.processes import ServiceProcess, run_json, start_python

pytestmark = pytest.mark.slow

PIPELINE = """
import sys, time
import provenance
client = provenance.Client()
with client.capture(dataset="math", teacher="openai/gpt-4o", route="api") as capture:
    for number in range(int(sys.argv[1])):
        capture.log(prompt=f"question {number}", completion=f"answer {number}", external_id=str(number))
        print(number)
        time.sleep(0.004)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path / "data")
    running.start()
    yield running
    running.kill()


def recorded(service: ServiceProcess) -> list[str]:
    """The external ids of all samples of the log, read from the log itself."""
    from provenance.attestation.envelope import parse_entry
    from provenance.store.log import iterate_entries
    from provenance.store.session import make_engine, read_session

    engine = make_engine(f"sqlite:///{service.data_dir / 'provenance.db'}")
    with read_session(engine) as session:
        statements = [parse_entry(entry) for _, entry in iterate_entries(session)]
    engine.dispose()
    return [item.predicate["external_id"] for item in statements if item.kind == "sample"]


def test_killing_pipeline_and_service_loses_no_sample_and_records_none_twice(
    service: ServiceProcess, tmp_path: Path
) -> None:
    settings = {"PROVENANCE_URL": service.url, "PROVENANCE_TOKEN": service.make_token("collector")}
    pipeline = start_python(PIPELINE, "100000", data_dir=tmp_path / "client", **settings)
    assert pipeline.stdout is not None
    accepted = -1
    for line in pipeline.stdout:
        accepted = int(line)
        if accepted == 300:
            service.kill()  # in the middle of it; the pipeline does not notice
        if accepted == 600:
            service.start()
        if accepted == 900:
            pipeline.kill()
            break
    accepted = max([accepted, *map(int, pipeline.stdout)])  # what it said before it died
    pipeline.wait()
    pipeline.stdout.close()
    run_json("capture", "--resume", data_dir=tmp_path / "client", **settings)
    service.stop()
    ids = recorded(service)
    assert set(map(str, range(accepted + 1))) <= set(ids)
    assert len(ids) == len(set(ids))
    assert run_json("log", "verify", data_dir=service.data_dir)["ok"]


def test_samples_of_a_pipeline_arrive_and_the_bad_one_is_named(service: ServiceProcess, tmp_path: Path) -> None:
    with Client(service.url, service.make_token("collector"), spool=tmp_path / "spool") as client:
        capture = client.capture("math", "openai/gpt-4o", "api").__enter__()
        for number in range(20):
            when = "2031-01-01T00:00:00Z" if number == 7 else "2026-11-24T10:00:00Z"
            capture.log(prompt="q", completion="a", external_id=str(number), generated_at=when)
        with pytest.raises(MalformedError, match="refused 1 samples") as caught:
            capture.__exit__(None, None, None)
        assert caught.value.errors[0].field == "generated_at"
        assert client.get("/api/v1/datasets/math")["samples"] == 19
        assert client.flush() == 0


def test_errors_of_the_service_are_errors_of_ours(service: ServiceProcess) -> None:
    with Client(service.url) as client:
        with pytest.raises(NotFoundError) as caught:
            client.get("/api/v1/samples/999999")
        assert caught.value.code == "not-found"
        with pytest.raises(AuthenticationError):
            client.post("/api/v1/students", {})
    service.kill()
    with Client(service.url) as client, pytest.raises(UnavailableError, match="does not answer") as gone:
        client.get("/api/v1/datasets")
    assert gone.value.exit_code == 7


@pytest.mark.parametrize("url", ["ftp://host", "localhost:8000", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="PROVENANCE_URL"):
        Client(url)
