"""A run's numbers as TensorBoard event files, written without TensorBoard: records of two checksummed parts, each an `Event`.

- Only what scalars need of the format: https://www.tensorflow.org/tutorials/load_data/tfrecord (records) and
  tensorboard/compat/proto/event.proto (messages). `tensorboard --logdir` reads them, also while they grow.
- A process that goes on from a checkpoint begins a file of its own, whose first event takes back the steps after it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

FOLDER = "tensorboard"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types
_CASTAGNOLI = 0x82F63B78
_MASK_DELTA = 0xA282EAD8


def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _make_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def format_record(data: bytes) -> bytes:
    """A TFRecord: length, its checksum, data, its checksum; all little-endian, checksums masked."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF)


def format_scalars(wall_time: float, step: int, scalars: Mapping[str, float]) -> bytes:
    """An `Event` with one `Summary.Value` for each scalar."""
    values = b"".join(
        _field(1, _BYTES, _field(1, _BYTES, name.encode()) + _field(2, _FIXED32, struct.pack("<f", value)))
        for name, value in scalars.items()
    )
    return _event(wall_time, step) + _field(5, _BYTES, values)


def _event(wall_time: float, step: int) -> bytes:
    return _field(1, _FIXED64, struct.pack("<d", wall_time)) + _field(2, _VARINT, _varint(step))


def _field(number: int, kind: int, data: bytes) -> bytes:
    return _varint(number << 3 | kind) + (_varint(len(data)) if kind == _BYTES else b"") + data


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:  # seven bits a byte, the lowest first; the eighth says that more follow
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


class ScalarLog:
    """Appends scalars to an event file of this process below `folder`."""

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        now = time.time()
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"events.out.tfevents.{int(now)}.{os.getpid()}.{first_step}"
        version = _event(now, 0) + _field(3, _BYTES, b"brain.Event:2")
        started = _event(now, first_step + 1) + _field(7, _BYTES, _field(1, _VARINT, _varint(1)))  # SessionLog.START
        self._append(version, *([started] if first_step else []))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of one step."""
        self._append(format_scalars(time.time(), step, scalars))

    def _append(self, *events: bytes) -> None:
        with self._path.open("ab") as stream:
            stream.write(b"".join(map(format_record, events)))
