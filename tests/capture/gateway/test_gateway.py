from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from provenance.capture.gateway import (
    EmptyCompletionError,
    Gateway,
    NotRecordedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from provenance.errors import MalformedError, NotFoundError, UnavailableError
from tests.capture.gateway.parts import NOW, Log, ask, said, write_file
from tests.capture.gateway.upstream_server import Teacher, completion

pytest_plugins = ()


def test_an_answer_is_recorded_with_what_made_it(gateway: Gateway, log: Log) -> None:
    headers = {
        "provenance-prompt-license": "CC0-1.0",
        "provenance-prompt-origin": "human demo",
        "provenance-external-id": "p1",
    }
    answer = gateway.complete(
        ask(gateway, headers, temperature=0.7, seed=3, user="alice", tools=[{"type": "function"}])
    )
    assert answer.status == 200
    assert answer.headers == {"Provenance-Index": "0", "Provenance-Tree-Size": "2"}
    sample = said(log.samples[0])
    assert sample["teacher"]["served_model"] == "small-1-2026"
    assert (sample["request_id"], sample["finish_reason"]) == ("chatcmpl-7", "stop")
    assert sample["usage"] == {"input_tokens": 5, "output_tokens": 2}
    assert sample["completion"] == [{"role": "assistant", "content": "Four."}]
    assert sample["prompt_origin"] == {"kind": "human", "ref": "demo", "license": "CC0-1.0"}
    assert sample["external_id"] == "p1"
    assert sample["parameters"]["temperature"] == 0.7
    assert sample["parameters"]["system_fingerprint"] == "fp_x"
    assert sample["parameters"]["tools_digest"].startswith("sha256:")


def test_who_the_end_user_is_does_not_enter_the_log(gateway: Gateway, log: Log) -> None:
    gateway.complete(ask(gateway, user="alice@example.org", metadata={"ticket": "7"}))
    assert "alice" not in str(said(log.samples[0]))
    assert "ticket" not in str(said(log.samples[0])["parameters"])


def test_our_token_never_leaves_and_the_providers_key_comes_from_the_environment(
    gateway: Gateway, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path, base_url=teacher.url, api_key="env:SMALLCO_KEY", upstream_model="small-1-api")
    with pytest.raises(UnavailableError, match="SMALLCO_KEY"):
        gateway.complete(ask(gateway))
    monkeypatch.setenv("SMALLCO_KEY", "sk-theirs")
    gateway.complete(ask(gateway, {"authorization": "Bearer prv_ours", "cookie": "x"}))
    path, headers, body = teacher.requests[-1]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer sk-theirs"
    assert body["model"] == "small-1-api"
    assert "prv_ours" not in str(headers)
    assert "Cookie" not in headers


def test_each_choice_is_a_sample(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    teacher.answer = lambda handler, body: handler.send_json(completion("Four.", "4", "IV"))
    assert gateway.complete(ask(gateway, n=3)).headers["Provenance-Index"] == "0,1,2"
    assert [said(sample)["completion"][0]["content"] for sample in log.samples] == ["Four.", "4", "IV"]


def test_a_refusal_passes_through_and_is_no_sample(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    error = {"error": {"message": "slow down", "type": "rate_limit", "code": "429"}}
    teacher.answer = lambda handler, body: handler.send_json(error, 429, Retry_After="2")
    answer = gateway.complete(ask(gateway))
    assert (answer.status, orjson.loads(answer.body), answer.headers["retry-after"]) == (429, error, "2")
    assert not log.samples


def test_a_page_instead_of_an_error_gets_an_errors_shape(gateway: Gateway, teacher: Teacher) -> None:
    teacher.answer = lambda handler, body: handler.send_json(b"<h1>bad gateway</h1>", 502)
    answer = gateway.complete(ask(gateway))
    assert answer.status == 502
    assert "bad gateway" in orjson.loads(answer.body)["error"]["message"]


def test_a_redirect_is_not_followed(gateway: Gateway, teacher: Teacher) -> None:
    teacher.answer = lambda handler, body: handler.send_json({}, 307, Location="http://127.0.0.1:9/elsewhere")
    answer = gateway.complete(ask(gateway))
    assert answer.status == 502
    assert len(teacher.requests) == 1


def test_an_answer_that_is_not_recorded_is_not_handed_on(gateway: Gateway, log: Log) -> None:
    log.refusal = UnavailableError("the database is away")
    with pytest.raises(NotRecordedError, match="the database is away") as caught:
        gateway.complete(ask(gateway))
    assert caught.value.status == 503


def test_an_answer_without_text_is_no_sample(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    teacher.answer = lambda handler, body: handler.send_json(completion("  "))
    with pytest.raises(EmptyCompletionError):
        gateway.complete(ask(gateway))
    assert not log.samples


def test_odd_names_of_an_upstream_do_not_cost_the_sample(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    odd = completion(
        "Four.", model="/models/small v1", id=17, usage={"prompt_tokens": "many"}, system_fingerprint="a\nb"
    )
    teacher.answer = lambda handler, body: handler.send_json(odd)
    assert gateway.complete(ask(gateway)).status == 200
    sample = said(log.samples[0])
    assert sample["teacher"]["served_model"] is None
    assert sample["parameters"]["served_as"] == "/models/small v1"
    assert (sample["request_id"], sample["usage"]) == (None, None)


def test_tool_calls_are_recorded(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":2}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "reasoning": "hm"}
    teacher.answer = lambda handler, body: handler.send_json(
        completion(choices=[{"message": message, "finish_reason": "tool_calls"}])
    )
    gateway.complete(ask(gateway))
    sample = said(log.samples[0])
    assert sample["completion"] == [{"role": "assistant", "content": None, "tool_calls": [call]}]
    assert sample["parameters"]["not_recorded"] == ["message.reasoning"]


def test_what_does_not_answer_says_so(gateway: Gateway, teacher: Teacher, tmp_path: Path, log: Log) -> None:
    slow = Gateway(gateway.path, log.record, lambda: NOW, 0.2, 1_000_000)
    teacher.answer = lambda handler, body: __import__("time").sleep(1)
    with pytest.raises(UpstreamTimeoutError):
        slow.complete(ask(slow))
    slow.close()
    write_file(tmp_path, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(UpstreamError, match="cannot be reached"):
        gateway.complete(ask(gateway))


def test_an_answer_that_is_too_large_or_no_completion_is_an_error(gateway: Gateway, teacher: Teacher) -> None:
    teacher.answer = lambda handler, body: handler.send_json(completion("x" * 1_000_001))
    with pytest.raises(UpstreamError, match="larger than"):
        gateway.complete(ask(gateway))
    teacher.answer = lambda handler, body: handler.send_json({"choices": []})
    with pytest.raises(UpstreamError, match="no choices"):
        gateway.complete(ask(gateway))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "prompt"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"n": 0}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"model": 4}, "model"),
        ({"stop": ["s" * 900 + str(n) for n in range(20)], **{f"p{n}": "x" * 900 for n in range(20)}}, "parameters"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_not_asked(
    gateway: Gateway, teacher: Teacher, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(MalformedError) as caught:
        ask(gateway, **fields)
    assert caught.value.errors[0].field == field
    assert not teacher.requests


def test_the_dataset_must_be_named(gateway: Gateway) -> None:
    with pytest.raises(MalformedError, match="Provenance-Dataset"):
        gateway.prepare(b'{"model": "small", "messages": [{"role": "user", "content": "x"}]}', {})


def test_a_model_without_upstream_is_not_found(gateway: Gateway) -> None:
    with pytest.raises(NotFoundError, match=r"'large'.*small"):
        ask(gateway, model="large")


def test_without_a_file_there_is_no_upstream(tmp_path: Path, log: Log) -> None:
    gateway = Gateway(tmp_path / "gateway.yaml", log.record, lambda: NOW, 5.0, 1000)
    with pytest.raises(NotFoundError, match=r"gateway\.yaml names no upstream"):
        ask(gateway)
