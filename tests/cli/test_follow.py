from __future__ import annotations

from typing import Any

import pytest

from provenance.cli.follow import describe_event, describe_step, follow_events, format_left
from provenance.cli.release import read_progress

STEP: dict[str, Any] = {
    "event": "step", "at": "2026-11-24T10:00:00Z", "step": 40, "total": 600, "loss": 2.11742, "lr": 0.001,
    "tokens_per_second": 1811.2, "eta_seconds": 131.4,
}  # fmt: skip
GPU = {"gpu": "0", "memory_used_bytes": 12 * 1024**3, "memory_total_bytes": 80 * 1024**3, "utilisation": 0.87}


def test_a_step_tells_loss_speed_and_time_left() -> None:
    assert describe_step(STEP) == "loss 2.1174, 1,811 tokens/s, 2 min 11 s left"
    assert describe_step(STEP | {"gpus": [GPU]}).endswith("left, GPU 0 12.0 GiB 87%")
    assert describe_step(STEP | {"gpus": [{"gpu": "1"}], "eta_seconds": None}).endswith("tokens/s, GPU 1")


def test_what_an_event_does_not_say_is_left_out() -> None:
    assert describe_step({"event": "step", "loss": "high", "gpus": "many", "eta_seconds": True}) == ""


def test_the_bar_of_a_training_says_the_same() -> None:
    assert read_progress({"step": STEP}) == (describe_step(STEP), 40, 600)
    assert read_progress({"step": {"event": "evaluated"}}) == ("evaluated", 0, None)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (90_061, "25 h 1 min")]
)
def test_time_is_told_in_its_two_greatest_units(seconds: float, text: str) -> None:
    assert format_left(seconds) == text


def test_where_there_is_no_terminal_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    started = {"event": "started", "at": "2026-11-24T10:00:00Z", "train": 24, "device": "cpu\x1b[2J"}
    follow_events([started, STEP, {"state": "done"}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2026-11-24T10:00:00Z started train=24")
    assert "\x1b" not in lines[0]
    assert lines[1] == "2026-11-24T10:00:00Z step 40 of 600: loss 2.1174, 1,811 tokens/s, 2 min 11 s left"
    assert lines[2] == describe_event({"state": "done"}) == "ended: done"
