"""Read event files by protobuf's own parser and a description of the messages that is made here."""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]  # it brings no types


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each scalar, file by file; the checksums are TensorBoard's to check."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event: Any = make_event_type()()
            event.ParseFromString(data[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            data = data[16 + length :]
    return found


@functools.cache
def make_event_type() -> type:
    file = descriptor_pb2.FileDescriptorProto(name="scalars.proto", package="scalars", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    fields: dict[str, list[tuple[str, int, int, str | None]]] = {
        "Value": [("tag", 1, kinds.TYPE_STRING, None), ("simple_value", 2, kinds.TYPE_FLOAT, None)],
        "Summary": [("value", 1, kinds.TYPE_MESSAGE, "Value")],
        "Event": [
            ("wall_time", 1, kinds.TYPE_DOUBLE, None),
            ("step", 2, kinds.TYPE_INT64, None),
            ("summary", 5, kinds.TYPE_MESSAGE, "Summary"),
        ],
    }
    for name, parts in fields.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in parts:
            repeated = kinds.LABEL_REPEATED if field == "value" else kinds.LABEL_OPTIONAL
            type_name = f".scalars.{of}" if of else None
            message.field.add(name=field, number=number, type=kind, label=repeated, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type = message_factory.GetMessageClass(pool.FindMessageTypeByName("scalars.Event"))
    return made
