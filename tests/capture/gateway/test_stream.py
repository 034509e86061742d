from __future__ import annotations

from typing import Any

import pytest

from provenance.capture.chunks import Accumulator, iterate_events
from provenance.capture.gateway import (
    Answer,
    AnswerStream,
    Gateway,
)
from provenance.errors import UnavailableError
from tests.capture.gateway.parts import Log, ask, said
from tests.capture.gateway.upstream_server import Handler, Teacher, chunk


def stream(gateway: Gateway, **fields: Any) -> AnswerStream:
    answer = gateway.stream(ask(gateway, stream=True, **fields))
    assert isinstance(answer, AnswerStream)
    return answer


def four(handler: Handler, body: dict[str, Any]) -> None:
    handler.start_stream()
    for event in (chunk(role="assistant"), chunk("Fo"), chunk("ur\u2028."), chunk(finish="stop"), "[DONE]"):
        handler.send_event(event)


def test_a_stream_holds_its_end_back_until_it_is_recorded(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    teacher.answer = four
    answer = stream(gateway)
    seen = []
    for event in answer:
        if b'"finish_reason":"stop"' in event.replace(b" ", b"") or b"[DONE]" in event:
            assert len(log.samples) == 1
        seen.append(event)
    answer.close()
    assert seen[-2:] == [b": provenance-index 0\n\n", b"data: [DONE]\n\n"]
    assert said(log.samples[0])["completion"] == [{"role": "assistant", "content": "Four\u2028."}]
    assert said(log.samples[0])["finish_reason"] == "stop"
    assert len(log.samples) == 1


def test_a_client_that_leaves_loses_nothing_of_what_came(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    teacher.answer = four
    answer = stream(gateway)
    events = iter(answer)
    next(events), next(events)
    answer.close()
    sample = said(log.samples[0])
    assert (sample["completion"][0]["content"], sample["finish_reason"]) == ("Fo", "interrupted")


def test_an_upstream_that_breaks_off_is_recorded_and_told(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    def broken(handler: Handler, body: dict[str, Any]) -> None:
        handler.start_stream()
        handler.send_event(chunk("Fo"))

    teacher.answer = broken
    answer = stream(gateway)
    seen = list(answer)
    answer.close()
    assert said(log.samples[0])["finish_reason"] == "interrupted"
    assert b"[DONE]" not in b"".join(seen)
    assert b"ended before the answer did" in seen[-1]


def test_an_unrecorded_stream_never_ends_well(gateway: Gateway, teacher: Teacher, log: Log) -> None:
    teacher.answer = four
    log.refusal = UnavailableError("the database is away")
    answer = stream(gateway)
    seen = b"".join(answer)
    answer.close()
    assert b"not-recorded" in seen
    assert b"[DONE]" not in seen
    assert b'"stop"' not in seen


def test_a_refused_stream_is_a_plain_answer(gateway: Gateway, teacher: Teacher) -> None:
    teacher.answer = lambda handler, body: handler.send_json({"error": {"message": "no"}}, 400)
    answer = gateway.stream(ask(gateway, stream=True))
    assert isinstance(answer, Answer)
    assert answer.status == 400


def test_streamed_tool_calls_are_put_together() -> None:
    seen = Accumulator()
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a"'}}
    for event in (chunk(tool_calls=[first]), chunk(tool_calls=[{"index": 0, "function": {"arguments": ":2}"}}])):
        assert not seen.add(event)
    assert seen.add(chunk(finish="tool_calls"))
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":2}'}}
    assert seen.completion().choices[0].message["tool_calls"] == [call]


@pytest.mark.parametrize("cut", range(1, 9))
def test_events_do_not_depend_on_where_the_network_cuts(cut: int) -> None:
    data = 'id: 1\r\ndata: {"a":"\u2028"}\r\n\r\n: hello\n\ndata:x\ndata: y\n\n'.encode()
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    assert list(iterate_events(pieces)) == ['{"a":"\u2028"}'.encode(), b"x\ny"]
