"""The local teacher's server: OpenAI's shapes, batching that changes no answer, errors in OpenAI's form."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from provenance.training.batching import Batcher, Done, Job
from provenance.training.chat import Served, make_app
from provenance.training.generate import Sampling, choose_token, decode_batch, load_model

pytestmark = pytest.mark.training
NAME = "tiny"


@pytest.fixture(scope="module")
def served(tiny_teacher: Path) -> Served:
    model, tokenizer = load_model(tiny_teacher)
    return Served(NAME, model, tokenizer, "sha256:" + "ab" * 32, 128, 1)


@pytest.fixture(scope="module")
def batcher(served: Served) -> Iterator[Batcher]:
    batcher = Batcher(served.model, 0, window_seconds=0.2, max_batch=8)
    yield batcher
    batcher.close()


@pytest.fixture(scope="module")
def client(served: Served, batcher: Batcher) -> Iterator[TestClient]:
    with TestClient(make_app(served, batcher)) as client:
        yield client


def _ask(client: TestClient, content: str = "Hello there", **more: Any) -> Any:
    body = {"model": NAME, "messages": [{"role": "user", "content": content}], "max_tokens": 8, "temperature": 0}
    return client.post("/v1/chat/completions", json=body | more)


def test_an_answer_has_openais_shape(client: TestClient, served: Served) -> None:
    answer = _ask(client).json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == NAME
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["choices"][0]["finish_reason"] in {"stop", "length"}
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer["system_fingerprint"] == served.fingerprint
    assert "abababababab" in served.fingerprint


def test_the_model_is_listed_with_its_weights(client: TestClient) -> None:
    listed = client.get("/v1/models").json()["data"]
    assert [(item["id"], item["weights_digest"]) for item in listed] == [(NAME, "sha256:" + "ab" * 32)]


def test_a_streamed_answer_is_the_whole_answer_in_pieces(client: TestClient) -> None:
    whole = _ask(client).json()
    lines = [line for line in _ask(client, stream=True).text.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert (
        "".join(choice["delta"].get("content", "") for choice in choices) == (whole["choices"][0]["message"]["content"])
    )
    assert choices[-1]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]


def test_a_seed_repeats_an_answer_and_another_seed_gives_another(client: TestClient) -> None:
    texts = [
        _ask(client, temperature=1.0, top_p=0.9, seed=seed).json()["choices"][0]["message"]["content"]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_requests_at_once_share_batches_and_get_the_answers_they_get_alone(
    client: TestClient, batcher: Batcher
) -> None:
    contents = [f"{'word ' * length}end" for length in range(1, 9)]
    alone = [_ask(client, content).json()["choices"][0]["message"]["content"] for content in contents]
    with ThreadPoolExecutor(8) as pool:
        together = [answer.json() for answer in pool.map(lambda content: _ask(client, content), contents)]
    assert [answer["choices"][0]["message"]["content"] for answer in together] == alone
    assert batcher.largest_batch > 1


def test_a_stop_string_ends_the_answer_before_it(client: TestClient) -> None:
    whole = _ask(client, max_tokens=12).json()["choices"][0]["message"]["content"]
    stop = whole[2:4]
    answer = _ask(client, max_tokens=12, stop=[stop]).json()["choices"][0]
    assert answer["finish_reason"] == "stop"
    assert answer["message"]["content"] == whole[: whole.index(stop)]


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "messages[0].content"),
        ({"messages": [{"role": "pirate", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "<|im_end|>"}]}, 400, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "word " * 200}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 10_000_000}]}, 400, "messages"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 100_000}, 400, "messages"),
        ({"model": "gpt-4o"}, 404, "model"),
        ({"n": 2}, 400, "n"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"temperature": 3}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"stop": [""]}, 400, "stop"),
    ],
)
def test_a_bad_request_gets_openais_error(client: TestClient, change: dict[str, Any], status: int, param: str) -> None:
    answer = _ask(client, **change)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 1000


def test_no_json_and_no_route_get_openais_error_too(client: TestClient) -> None:
    for answer in (client.post("/v1/chat/completions", content=b"{"), client.get("/v1/embeddings")):
        assert answer.status_code in {400, 404}
        assert answer.json()["error"]["message"]


def test_a_model_that_fails_tells_everybody_and_the_server_lives_on(client: TestClient, served: Served) -> None:
    broken = Batcher(None, 0)
    job = Job([1, 2], Sampling(4), served.tokenizer, frozenset())
    broken.submit(job)
    assert "AttributeError" in str(list(job.read())[-1])
    again = Job([1, 2], Sampling(4), served.tokenizer, frozenset())
    broken.submit(again)
    assert list(again.read())
    broken.close()
    assert _ask(client).status_code == 200


def test_a_character_of_several_tokens_is_sent_whole(served: Served) -> None:
    job = Job([1], Sampling(50), served.tokenizer, frozenset())
    tokens = served.tokenizer("a🙂b", add_special_tokens=False)["input_ids"]
    assert len(tokens) > 3
    for token in tokens:
        job.take(token)
    job._end("stop", job._text())
    events = list(job.read())
    assert "\ufffd" not in "".join(event for event in events if isinstance(event, str))
    assert "".join(event for event in events if isinstance(event, str)) == "a🙂b"
    assert isinstance(events[-1], Done)


def test_a_reader_that_went_away_leaves_the_batch(served: Served) -> None:
    job = Job([1], Sampling(50), served.tokenizer, frozenset())
    assert job.take(5)
    job.cancel()
    assert not job.take(5)


def test_the_nucleus_never_leaves_its_mass() -> None:
    import torch

    logits = torch.tensor([4.0, 3.0, 1.0, 0.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    drawn = {choose_token(logits, Sampling(temperature=1.0, top_p=0.7), generator) for _ in range(200)}
    assert drawn == {0, 1}  # 0.69 and 0.25 of the mass: the second is needed to reach 0.7
    assert {choose_token(logits, Sampling(temperature=0.0), generator) for _ in range(5)} == {0}


def test_greedy_decoding_is_what_the_library_generates(served: Served) -> None:
    import torch

    ids = served.tokenizer("The river carries", return_tensors="pt")["input_ids"].to(served.model.device)
    expected = served.model.generate(ids, max_new_tokens=10, do_sample=False, eos_token_id=None)[0, ids.shape[1] :]
    written: list[int] = []

    def take(row: int, token: int) -> bool:
        written.append(token)
        return len(written) < 10

    decode_batch(served.model, [ids[0].tolist()], [Sampling()], take)
    assert torch.tensor(written).equal(expected.cpu())


def test_the_command_serves_openais_client(tiny_teacher: Path, tmp_path: Path) -> None:
    openai = pytest.importorskip("openai")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "provenance.training.serve", "--model", str(tiny_teacher), "--name", NAME]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--port", str(port), "--threads", "1"], stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client:
                ask = {"model": NAME, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
                answer = client.chat.completions.create(**ask, temperature=0)
                assert answer.usage.completion_tokens <= 4
                pieces = list(client.chat.completions.create(**ask, temperature=0, stream=True))
                text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
                assert text == answer.choices[0].message.content
                with pytest.raises(openai.NotFoundError, match="does not exist"):
                    client.chat.completions.create(**(ask | {"model": "other"}))
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the server did not start")


def test_a_folder_that_is_no_model_is_a_clear_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "provenance.training.serve", "--model", str(tmp_path), "--name", NAME]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "config.json" in done.stderr
    assert "Traceback" not in done.stderr
