from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.training.scalars import ScalarLog, crc32c, format_record, format_scalars
from tests.training.scalars import make_event_type, read_scalars

# RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"123456789", 0xE3069283),
    (b"", 0),
]


@pytest.mark.parametrize(("data", "crc"), VECTORS)
def test_the_checksum_is_the_one_of_the_standard(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


def test_a_record_is_framed_as_tensorflow_frames_it() -> None:
    record = format_record(b"abc")
    assert struct.unpack("<Q", record[:8]) == (3,)
    assert (len(record), record[12:15]) == (8 + 4 + 3 + 4, b"abc")


def read_back(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the stock reader: pip install tensorboard"
    )
    found = accumulators.EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(item.step, item.value) for item in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    log = ScalarLog(tmp_path)
    for step in (1, 2, 300, 70_000):
        log.write(step, {"train/loss": 1 / step, "gpu0/utilisation": 0.5})
    expected = {
        "train/loss": [(step, pytest.approx(1 / step, rel=1e-6)) for step in (1, 2, 300, 70_000)],
        "gpu0/utilisation": [(step, 0.5) for step in (1, 2, 300, 70_000)],
    }
    assert read_scalars(tmp_path) == expected
    assert read_back(tmp_path) == expected


def test_a_resumed_run_takes_back_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    first = ScalarLog(tmp_path)
    for step in range(1, 8):
        first.write(step, {"train/loss": 1.0})
    second = ScalarLog(tmp_path, 5)
    for step in (6, 7, 8):
        second.write(step, {"train/loss": 2.0})
    assert len(list(tmp_path.iterdir())) == 2
    assert read_back(tmp_path)["train/loss"] == [(n, 1.0) for n in range(1, 6)] + [(n, 2.0) for n in (6, 7, 8)]


@given(st.integers(0, 2**40), st.floats(width=32, allow_nan=False), st.text(min_size=1, max_size=300))
def test_any_event_is_what_protobuf_reads(step: int, value: float, tag: str) -> None:
    """Against protobuf's own parser, by a description of the message that is made here."""
    event = make_event_type()()
    try:
        data = format_scalars(1.5, step, {tag: value})
    except UnicodeEncodeError:
        return  # half of a surrogate pair is no text
    event.ParseFromString(data)
    (said,) = event.summary.value
    assert (event.wall_time, event.step, said.tag) == (1.5, step, tag)
    assert said.simple_value == value or math.isclose(said.simple_value, value)
