from __future__ import annotations

from pathlib import Path

import pytest

from tests.policy.collection.requests import make_request
from tests.service import LocalService

URL = "/api/v1/collections"


@pytest.fixture(scope="module")
def recorded(service: LocalService) -> str:
    return str(service.post(URL, make_request(), expect=201)["id"])


def test_a_collection_is_recorded_once(service: LocalService) -> None:
    request = make_request(origin="recorded once")
    before = service.log_size()
    first = service.post(URL, request, expect=201)
    again = service.post(URL, request, expect=200)
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first | {"replayed": True} == again
    assert service.log_size() == before + 1
    said = service.get(f"{URL}/{first['id']}")
    assert said["kind"] == "dataset-facts"
    assert said["entry"] == before


def test_the_files_lie_beside_the_log(service: LocalService, recorded: str) -> None:
    folder = service.data_dir / "collections" / recorded
    assert {path.name for path in folder.iterdir()} == {"facts.json", "comparison.json"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


def test_files_that_were_lost_are_written_again(service: LocalService, recorded: str) -> None:
    path: Path = service.data_dir / "collections" / recorded / "facts.json"
    kept = path.read_bytes()
    path.unlink()
    service.post(URL, make_request(), expect=200)
    assert path.read_bytes() == kept


def test_collections_are_listed(service: LocalService, recorded: str) -> None:
    rows = {row["id"]: row for row in service.get(URL)["collections"]}
    assert rows[recorded]["counts"]["datasets"] == 18
    assert service.client.get(f"{URL}/col_nothing").status_code == 404


def test_a_bad_collection_records_nothing(service: LocalService) -> None:
    before, folders = service.log_size(), sorted((service.data_dir / "collections").glob("*"))
    request = make_request()
    request["files"]["Made.json"]["human-mit"]["Licences"] = []
    problem = service.post(URL, request, expect=422)
    assert problem["errors"][0]["field"] == "Made.json: human-mit.Licences"
    deep = b"[" * 100_000 + b"]" * 100_000
    nan = b'{"origin": NaN}'
    twice = b'{"origin": "a", "origin": "b"}'
    for body in (deep, nan, twice, b"\xff", b""):
        assert service.client.post(URL, content=body, headers={"Content-Type": "application/json"}).status_code == 422
    assert service.log_size() == before
    assert sorted((service.data_dir / "collections").glob("*")) == folders


def test_recording_needs_a_token_that_may_capture(service: LocalService) -> None:
    viewer = service.client.post(URL, json=make_request(), headers=service.as_role("viewer"))
    assert viewer.status_code == 403
    nobody = service.client.post(URL, json=make_request(), headers={"Authorization": ""})
    assert nobody.status_code == 401
