"""What the gateway's tests stand on: a log that can refuse, a teacher's server, requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson

from provenance.capture.chat import ChatRequest
from provenance.capture.gateway import Gateway
from provenance.capture.sample import Sample
from provenance.ledger.append import Receipt

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
HEADERS = {"provenance-dataset": "math"}
TEACHER = {"provider": "smallco", "model": "small-1", "route": "weights", "revision": "r1"}


class Log:
    """Takes samples as the recorder does, and can refuse."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.refusal: Exception | None = None

    def record(self, samples: Sequence[Sample]) -> Receipt:
        if self.refusal is not None:
            raise self.refusal
        first = len(self.samples)
        self.samples.extend(samples)
        return Receipt(first, len(samples) + 1, first + len(samples) + 1, "note")


def write_file(folder: Path, **fields: Any) -> Path:
    upstream = {"model": "small", "teacher": TEACHER, "api_key": None} | fields
    path = folder / "gateway.yaml"
    path.write_bytes(orjson.dumps({"upstreams": [upstream]}))  # JSON is YAML
    return path


def ask(gateway: Gateway, headers: dict[str, str] | None = None, **fields: Any) -> ChatRequest:
    body = {"model": "small", "messages": [{"role": "user", "content": "Two and two?"}]} | fields
    return gateway.prepare(orjson.dumps(body), HEADERS | (headers or {}))


def said(sample: Sample) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.to_builtins(sample)
    return value
