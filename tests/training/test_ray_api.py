"""A cluster that misbehaves: a small server that speaks Ray's REST shapes, or something else in their place."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from provenance.errors import ProvenanceError, UnavailableError
from provenance.training import ray_api
from provenance.training.ray_api import Cluster, Job, Node, RayApi, RayError
from tests.training.ray_server import JOB, TOKEN, VERSION, Answer, Server


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def api(server: Server) -> Iterator[RayApi]:
    api = RayApi(server.url, TOKEN, timeout_seconds=2)
    yield api
    api.close()


def test_a_sound_cluster_is_taken_and_its_nodes_are_read(api: RayApi, server: Server) -> None:
    assert api.check(allow_unauthenticated=False) == Cluster("2.60.0", authenticated=True)
    assert "Authorization" not in server.asked[0][1]  # asked whether it lets anybody in
    assert api.list_nodes() == [Node("n1", 8, 2, 1, 0), Node("n2", 4, 0, 0, 0)]
    assert api.find_job("run_1.1") == Job("RUNNING", "Job is currently running.", None, "n1")
    api.stop("run_1.1")
    api.submit("run_1.1", "true", cpus=2, gpus=1)
    assert json.loads(server.asked[-1][2]) == {
        "entrypoint": "true", "submission_id": "run_1.1", "entrypoint_num_cpus": 2, "entrypoint_num_gpus": 1,
        "metadata": {"started_by": "provenance"},
    }  # fmt: skip


def test_a_cluster_that_lets_anybody_in_is_refused_unless_told(api: RayApi, server: Server) -> None:
    server.bare = True
    with pytest.raises(RayError, match="allow-unauthenticated-cluster"):
        api.check(allow_unauthenticated=False)
    assert api.check(allow_unauthenticated=True) == Cluster("2.60.0", authenticated=False)


def test_a_cluster_that_asks_for_a_token_needs_the_right_one(server: Server) -> None:
    for token, said in ((None, "asks for a token"), (SecretStr("wrong"), "refuses the token")):
        with pytest.raises(RayError, match=said) as caught:
            RayApi(server.url, token).check(allow_unauthenticated=True)
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"ray_version": "2.51.9"}, {"ray_version": "3.0.0"}, {"ray_version": "2"}, {"ray_version": None}, {"ray_version": "x2.60.0"},
        {"ray_version": 2.6}, {"version": "5"}, {"version": 4}, {"version": None},
    ],
)  # fmt: skip
def test_a_version_that_is_not_known_is_refused(api: RayApi, server: Server, change: dict[str, Any]) -> None:
    server.answers["GET /api/version"] = (200, json.dumps(VERSION | change).encode())
    with pytest.raises(RayError, match=r"expected Ray 2\.52 or newer"):
        api.check(allow_unauthenticated=False)


BAD: list[Answer] = [
    (500, b"Traceback (most recent call last): ..."), (503, b""), (204, b""), (200, b""), (200, b"{"), (200, b"[]"),
    (200, b"null"), (200, b"\xff\xfe"), (200, b"<html>" * 1000), (200, b'{"data": {}}'), (200, b"[" * 100_000),
]  # fmt: skip


@pytest.mark.parametrize("answer", BAD, ids=range(len(BAD)))
def test_an_answer_that_is_none_is_the_clusters_fault_and_never_a_permission(
    api: RayApi, server: Server, answer: Answer
) -> None:
    for name in ("GET /api/version", "GET /api/cluster_status", "GET /api/jobs/run_1.1"):
        server.answers[name] = answer
    calls: list[Callable[[], object]] = [
        lambda: api.check(allow_unauthenticated=True), api.list_nodes, lambda: api.find_job("run_1.1"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ProvenanceError) as caught:
            call()
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "usage",
    [{}, None, [], {"n": None}, {"n": []}, {"n": {"CPU": 8}}, {"n": {"CPU": [8]}}, {"n": {"CPU": ["a", "b"]}}, {"n": {"GPU": {}}}],
)  # fmt: skip
def test_a_capacity_that_is_not_said_is_not_enough(api: RayApi, server: Server, usage: Any) -> None:
    said = {"data": {"clusterStatus": {"loadMetricsReport": {"usageByNode": usage}}}}
    server.answers["GET /api/cluster_status"] = (200, json.dumps(said).encode())
    with pytest.raises(UnavailableError):
        api.list_nodes()


def test_a_job_of_another_id_or_state_is_not_believed(api: RayApi, server: Server) -> None:
    for change in ({"submission_id": "run_2.1"}, {"status": "DANCING"}, {"status": None}):
        server.answers["GET /api/jobs/run_1.1"] = (200, json.dumps(JOB | change).encode())
        with pytest.raises(UnavailableError):
            api.find_job("run_1.1")
    assert api.find_job("run_9.1") is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_the_token_goes_nowhere_else(api: RayApi, server: Server, status: int) -> None:
    other = Server()
    try:
        for name in list(server.answers):
            server.answers[name] = (status, b"", {"Location": f"{other.url}/api/version"})
        calls: list[Callable[[], object]] = [
            api.list_nodes, lambda: api.submit("run_1.1", "true", cpus=1, gpus=0), lambda: api.stop("run_1.1"),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(RayError, match="sends"):
                call()
        assert other.asked == []
    finally:
        other.close()


def test_no_proxy_of_the_environment_sees_the_token(
    api: RayApi, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Server()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    try:
        with ray_api.open_api(server.url, TOKEN) as opened:
            assert opened.find_job("run_1.1") is not None
        assert proxy.asked == []
    finally:
        proxy.close()


def test_a_huge_answer_is_given_up(api: RayApi, server: Server) -> None:
    server.answers["GET /api/jobs/run_1.1"] = (200, b"x" * (ray_api.MAX_ANSWER_BYTES + 1))
    with pytest.raises(UnavailableError, match="answers more than"):
        api.find_job("run_1.1")


def test_a_cluster_that_does_not_answer_in_time_or_at_all_is_out_of_reach(server: Server) -> None:
    def slow() -> Answer:
        time.sleep(1)
        return 200, b"{}"

    server.answers["GET /api/version"] = slow
    impatient = RayApi(server.url, TOKEN, timeout_seconds=0.2)
    with pytest.raises(UnavailableError, match="does not answer"):
        impatient.check(allow_unauthenticated=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match="does not answer"):
            RayApi(f"http://127.0.0.1:{closed.getsockname()[1]}", TOKEN, timeout_seconds=0.5).find_job("run_1.1")


def test_a_submission_that_is_there_already_is_the_same_one(api: RayApi, server: Server) -> None:
    server.answers["POST /api/jobs/"] = (400, b"ValueError: Job with submission_id run_1.1 already exists.")
    api.submit("run_1.1", "true", cpus=1, gpus=0)
    with pytest.raises(UnavailableError, match="did not take the job"):
        api.submit("run_2.1", "true", cpus=1, gpus=0)
