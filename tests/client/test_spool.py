from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from provenance.client.capture import Capture, format_sample
from provenance.client.spool import Spool, default_spool
from provenance.client.upload import Uploader
from provenance.errors import (
    AuthenticationError,
    ConflictError,
    FieldError,
    MalformedError,
    ProvenanceError,
    UnavailableError,
)

MATH = {"dataset": "math", "teacher": "openai/gpt-4o", "route": "api"}


class Service:
    """Takes posts as the service does: keys are remembered, samples with `bad` in the prompt are refused."""

    def __init__(self) -> None:
        self.taken: dict[str, list[dict[str, Any]]] = {}
        self.down: ProvenanceError | None = None
        self.names_lines = True
        self.loses_answers = 0

    def post(self, lines: bytes, *, source: str, idempotency_key: str) -> dict[str, Any]:
        if self.down is not None:
            raise self.down
        rows = [orjson.loads(line) for line in lines.splitlines()]
        for number, row in enumerate(rows, 1):
            if "bad" in row["prompt"]:
                line = number if self.names_lines else None
                raise MalformedError(f"line {number}: bad", FieldError("prompt", row["prompt"], "good", line))
        if idempotency_key not in self.taken:
            self.taken[idempotency_key] = rows
        if self.loses_answers:
            self.loses_answers -= 1
            raise UnavailableError("the answer was lost")
        return {"count": len(rows)}

    @property
    def prompts(self) -> list[str]:
        return [row["prompt"] for key in sorted(self.taken) for row in self.taken[key]]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def capture(spool: Spool, service: Service, close_seconds: float = 20.0, **defaults: Any) -> Capture:
    return Capture(spool, service.post, defaults=defaults, close_seconds=close_seconds, **MATH)


def flush(spool: Spool, service: Service) -> Uploader:
    uploader = Uploader(spool, service.post)
    uploader.start()
    uploader.close(20)
    return uploader


def test_what_was_logged_arrives_with_its_facts(spool: Spool, service: Service) -> None:
    with capture(spool, service, account={"holder": "acme", "plan": "api"}) as open_capture:
        open_capture.log(prompt="2+2?", completion="4", parameters={"temperature": 1.0}, external_id="a")
    (sample,) = next(iter(service.taken.values()))
    assert sample["teacher"] == {"provider": "openai", "model": "gpt-4o", "route": "api"}
    assert (sample["dataset"], sample["account"]["holder"], sample["external_id"]) == ("math", "acme", "a")
    assert sample["generated_at"].endswith("Z")
    assert not list(spool.folder.glob("*.ndjson"))


def test_a_service_that_is_down_costs_nothing(spool: Spool, service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.down = UnavailableError("down")
    with capture(spool, service, close_seconds=0.3) as open_capture:
        for number in range(5):
            open_capture.log(prompt=f"{number}", completion="x")
    assert spool.count_waiting() == 5
    assert "5 samples wait" in caplog.text
    service.down = None
    flush(spool, service)
    assert service.prompts == ["0", "1", "2", "3", "4"]
    assert spool.count_waiting() == 0


def test_a_token_that_is_refused_costs_nothing(spool: Spool, service: Service) -> None:
    service.down = AuthenticationError("unknown token")
    with capture(spool, service, close_seconds=0.3) as open_capture:
        open_capture.log(prompt="x", completion="y")
    assert spool.count_waiting() == 1


def test_a_lost_answer_records_nothing_twice(spool: Spool, service: Service) -> None:
    service.loses_answers = 1
    with capture(spool, service) as open_capture:
        open_capture.log(prompt="once", completion="x")
    assert service.prompts == ["once"]


@pytest.mark.parametrize("names_lines", [True, False])
def test_one_bad_sample_does_not_take_its_neighbours_with_it(spool: Spool, service: Service, names_lines: bool) -> None:
    service.names_lines = names_lines
    open_capture = capture(spool, service).__enter__()
    for number in range(9):
        open_capture.log(prompt="bad" if number in {2, 7} else f"{number}", completion="x")
    with pytest.raises(MalformedError, match="refused 2 samples"):
        open_capture.__exit__(None, None, None)
    assert sorted(service.prompts) == ["0", "1", "3", "4", "5", "6", "8"]
    rejected = [orjson.loads(path.read_bytes()) for path in (spool.folder / "rejected").iterdir()]
    assert [item["sample"]["prompt"] for item in rejected] == ["bad", "bad"]
    assert rejected[0]["reason"]["errors"][0]["field"] == "prompt"
    assert spool.count_waiting() == 0


def test_a_key_that_stands_for_something_else_is_put_aside_not_sent_again(spool: Spool, service: Service) -> None:
    service.down = ConflictError("used", FieldError("Idempotency-Key", "k", "a new key"))
    with pytest.raises(MalformedError), capture(spool, service) as open_capture:
        open_capture.log(prompt="x", completion="y")
    assert len(list((spool.folder / "rejected").iterdir())) == 1
    assert spool.count_waiting() == 0


def test_an_error_of_the_pipeline_is_not_hidden_by_refused_samples(spool: Spool, service: Service) -> None:
    open_capture = capture(spool, service).__enter__()
    open_capture.log(prompt="bad", completion="x")
    error = ValueError("the pipeline's own")
    open_capture.__exit__(ValueError, error, None)  # raises nothing: the pipeline's error goes on
    assert (spool.folder / "rejected").exists()


def test_an_open_segment_belongs_to_its_writer(spool: Spool) -> None:
    segment = spool.create()
    segment.append(b"{}")
    assert list(spool.take_waiting()) == []
    segment.close()
    (taken,) = spool.take_waiting()
    assert taken.read() == b"{}\n"
    taken.close()


def test_a_torn_line_was_never_accepted(spool: Spool) -> None:
    segment = spool.create()
    segment.append(b'{"n":1}')
    os.write(segment.descriptor, b'{"n":')
    segment.close()
    (taken,) = spool.take_waiting()
    assert taken.read() == b'{"n":1}\n'
    taken.close()


def test_a_segment_that_was_cut_twice_has_the_same_keys(spool: Spool) -> None:
    keys = []
    for _ in range(2):
        segment = spool.create()
        segment.path = segment.path.rename(spool.folder / f"{'1' * 20}-{'a' * 16}.ndjson")
        spool.split(segment, [b"{}\n", b"[]\n"])
        keys.append(sorted(path.name for path in spool.folder.glob("*.ndjson")))
    assert keys[0] == keys[1]
    assert len(keys[0]) == 2


def test_equal_samples_are_not_taken_for_one_when_a_batch_is_cut(spool: Spool, service: Service) -> None:
    service.names_lines = False
    open_capture = capture(spool, service, generated_at="2026-11-24T10:00:00Z").__enter__()
    for prompt in ("same", "same", "bad", "same", "bad"):
        open_capture.log(prompt=prompt, completion="x")
    with pytest.raises(MalformedError, match="refused 2 samples"):
        open_capture.__exit__(None, None, None)
    assert service.prompts == ["same"] * 3


def test_samples_for_one_service_are_never_sent_to_another() -> None:
    assert default_spool("http://a") != default_spool("http://b")


def test_a_full_disk_is_said_and_leaves_no_half_line(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = spool.create()
    segment.append(b'{"n":1}')
    real = os.write

    def fills_up(descriptor: int, data: Any) -> int:
        if len(data) > 4:
            return real(descriptor, data[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fills_up)
    with pytest.raises(UnavailableError, match="No space left"):
        segment.append(b'{"n":2222}')
    monkeypatch.undo()
    segment.append(b'{"n":3}')
    segment.close()
    (taken,) = spool.take_waiting()
    assert taken.read() == b'{"n":1}\n{"n":3}\n'
    taken.close()


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"prompt": " "}, "prompt"),
        ({"completion": []}, "completion"),
        ({"completion": 7}, "completion"),
        ({"prompt": "x" * (4 * 1024 * 1024 + 1)}, "prompt"),
        ({"temprature": 1}, "temprature"),
        ({"parameters": {"t": float("nan")}}, "sample"),
        ({"parameters": {"seed": 2**60}}, "sample"),
        ({"parameters": {"when": object()}}, "sample"),
        ({"prompt": "lone \ud800 surrogate"}, "sample"),
    ],
)  # fmt: skip
def test_what_is_no_sample_is_refused_where_it_is_logged(facts: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedError) as caught:
        format_sample({"prompt": "x", "completion": "y"} | facts)
    assert caught.value.errors[0].field == field


@pytest.mark.parametrize("teacher", ["gpt-4o", "/gpt-4o", {"model": "x"}])
def test_a_teacher_is_provider_and_model(spool: Spool, service: Service, teacher: Any) -> None:
    with pytest.raises(MalformedError, match="PROVIDER/MODEL"):
        Capture(spool, service.post, dataset="d", teacher=teacher, route="api", defaults={})


def test_a_closed_capture_takes_nothing(spool: Spool, service: Service) -> None:
    open_capture = capture(spool, service)
    with pytest.raises(ConflictError):
        open_capture.log(prompt="x", completion="y")
    with open_capture:
        pass
    with pytest.raises(ConflictError):
        open_capture.log(prompt="x", completion="y")
