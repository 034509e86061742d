from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import orjson
import pytest
import uvicorn
from sqlmodel import col, select

from provenance.api.app import create_app
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.log import find_content, read_statement
from provenance.store.session import read_session, write_session
from provenance.store.tables import SampleRow
from provenance.store.tokens import create_token
from tests.capture.gateway.upstream_server import Handler, Teacher, chunk, completion, run_teacher

QUESTION: list[Any] = [{"role": "user", "content": "Two and two?"}]
DATASET = {"Provenance-Dataset": "math"}
CALLERS = 48


class Service:
    """The real application on a loopback port."""

    def __init__(self, url: str, runtime: Runtime) -> None:
        self.url, self.runtime = url, runtime
        self.token = self.make_token("collector")

    def make_token(self, role: str) -> str:
        with write_session(self.runtime.engine) as session:
            now = "2026-11-24T10:00:00Z"
            return create_token(session, name=f"{role}-{time.monotonic_ns()}", role=role, now=now, expires_at=None)[1]

    def openai(self, token: str | None = None, **options: Any) -> openai.OpenAI:
        key = token or self.token
        return openai.OpenAI(
            base_url=f"{self.url}/gateway/v1", api_key=key, max_retries=0, default_headers=DATASET, **options
        )

    def samples(self) -> list[dict[str, Any]]:
        with read_session(self.runtime.engine) as session:
            rows = session.exec(select(SampleRow.index).order_by(col(SampleRow.index))).all()
            return [
                dict(read_statement(session, index).predicate) | (find_content(session, index) or {}) for index in rows
            ]


@contextmanager
def run_app(settings: Settings) -> Iterator[Service]:
    runtime = open_runtime(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(create_app(runtime), log_level="error", lifespan="on", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}", runtime)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def teacher() -> Iterator[Teacher]:
    with run_teacher() as running:
        yield running


@pytest.fixture(scope="module")
def service(teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("gateway")
    upstream = {
        "model": "small", "base_url": teacher.url, "account": {"holder": "acme", "plan": "api"}, "generated_in": "DE",
        "teacher": {"provider": "huggingface", "model": "SmolLM2-135M-Instruct", "route": "weights", "revision": "r1"},
    }  # fmt: skip
    (folder / "gateway.yaml").write_bytes(orjson.dumps({"upstreams": [upstream]}))
    with run_app(Settings(data_dir=folder)) as running:
        yield running


@pytest.fixture(autouse=True)
def plain(teacher: Teacher) -> None:
    teacher.answer = lambda handler, body: handler.send_json(completion())


def test_the_official_client_gets_its_answer_and_the_log_gets_the_sample(service: Service) -> None:
    with service.openai() as client:
        raw = client.chat.completions.with_raw_response.create(model="small", messages=QUESTION, temperature=0.2)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Four."
    sample = service.samples()[-1]
    assert sample["evidence"] == "recorded"
    assert sample["completion"] == [{"role": "assistant", "content": "Four."}]
    assert (sample["account"], sample["generated_in"]) == ({"holder": "acme", "plan": "api"}, "DE")
    assert sample["parameters"]["temperature"] == 0.2
    index = int(raw.headers["Provenance-Index"])
    assert int(raw.headers["Provenance-Tree-Size"]) > index


def test_the_official_client_streams(service: Service, teacher: Teacher) -> None:
    def four(handler: Handler, body: dict[str, Any]) -> None:
        handler.start_stream()
        for event in (chunk("Fo"), chunk("ur."), chunk(finish="stop"), "[DONE]"):
            handler.send_event(event)

    teacher.answer = four
    with service.openai() as client:
        stream = client.chat.completions.create(model="small", messages=QUESTION, stream=True)
        text = "".join(piece.choices[0].delta.content or "" for piece in stream)
    assert text == "Four."
    assert service.samples()[-1]["completion"][0]["content"] == "Four."
    assert service.samples()[-1]["finish_reason"] == "stop"


def test_a_client_that_hangs_up_leaves_an_interrupted_sample(service: Service, teacher: Teacher) -> None:
    gone = threading.Event()

    def endless(handler: Handler, body: dict[str, Any]) -> None:
        handler.start_stream()
        while not gone.wait(0.02):
            handler.send_event(chunk("la "))

    teacher.answer = endless
    before = len(service.samples())
    body = json.dumps({"model": "small", "messages": QUESTION, "stream": True})
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"))
    connection.request(
        "POST", "/gateway/v1/chat/completions", body, DATASET | {"Authorization": f"Bearer {service.token}"}
    )
    answer = connection.getresponse()
    assert answer.read(8)
    answer.close()
    connection.close()
    try:
        deadline = time.monotonic() + 30
        while len(service.samples()) == before and time.monotonic() < deadline:
            time.sleep(0.05)
        sample = service.samples()[-1]
        assert len(service.samples()) == before + 1
        assert sample["finish_reason"] == "interrupted"
        assert sample["completion"][0]["content"].startswith("la ")
    finally:
        gone.set()


def test_many_callers_at_once_are_all_recorded_once(service: Service, teacher: Teacher) -> None:
    def echo(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_json(completion(f"echo {body['messages'][0]['content']}"))

    teacher.answer = echo
    before = len(service.samples())
    with service.openai() as client, ThreadPoolExecutor(CALLERS) as pool:

        def call(number: int) -> str | None:
            messages: list[Any] = [{"role": "user", "content": str(number)}]
            return client.chat.completions.create(model="small", messages=messages).choices[0].message.content

        answers = list(pool.map(call, range(CALLERS)))
    assert answers == [f"echo {number}" for number in range(CALLERS)]
    recorded = service.samples()[before:]
    pairs = {(item["prompt"][0]["content"], item["completion"][0]["content"]) for item in recorded}
    assert pairs == {(str(number), f"echo {number}") for number in range(CALLERS)}
    assert len(recorded) == CALLERS


def test_models_are_listed(service: Service) -> None:
    with service.openai() as client:
        assert [model.id for model in client.models.list()] == ["small"]


def test_errors_are_what_the_official_client_expects(service: Service, teacher: Teacher) -> None:
    with service.openai(token="prv_wrong") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="small", messages=QUESTION)
    with (
        service.openai(token=service.make_token("viewer")) as viewer,
        pytest.raises(openai.PermissionDeniedError, match="capture"),
    ):
        viewer.chat.completions.create(model="small", messages=QUESTION)
    with service.openai() as client:
        with pytest.raises(openai.NotFoundError, match="no upstream"):
            client.chat.completions.create(model="large", messages=QUESTION)
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            client.chat.completions.create(model="small", messages=[])
        assert caught.value.param == "messages"
        teacher.answer = lambda handler, body: handler.send_json({"error": {"message": "no credit"}}, 429)
        with pytest.raises(openai.RateLimitError, match="no credit"):
            client.chat.completions.create(model="small", messages=QUESTION)


def test_a_call_without_token_is_refused_also_on_loopback(service: Service) -> None:
    answer = httpx.post(f"{service.url}/gateway/v1/chat/completions", json={"model": "small", "messages": QUESTION})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"


def test_a_file_that_was_broken_while_running_is_named(service: Service) -> None:
    path: Path = service.runtime.settings.data_dir / "gateway.yaml"
    good = path.read_bytes()
    try:
        path.write_text("upstreams: [{model: small}]")
        with service.openai() as client, pytest.raises(openai.UnprocessableEntityError, match="base_url"):
            client.chat.completions.create(model="small", messages=QUESTION)
    finally:
        path.write_bytes(good)
    with service.openai() as client:
        assert client.chat.completions.create(model="small", messages=QUESTION).choices
