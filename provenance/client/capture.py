"""Recording from a pipeline: `log` checks what is cheap, writes a line to the spool and returns.

`log` never waits for the network. What it returned for will reach the service, from this process or the next one;
what the service refuses in the end is kept aside with the reason and raised when the capture closes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

from provenance.canonical import canonical_bytes
from provenance.client.spool import Segment, Spool
from provenance.client.upload import Post, Uploader
from provenance.errors import ConflictError, FieldError, MalformedError

MAX_LINES, MAX_SEGMENT_BYTES, MAX_SECONDS = 1000, 8 * 1024 * 1024, 0.5
MAX_TEXT_BYTES = 4 * 1024 * 1024
SYNC_SECONDS = 0.2
ROUTES = ("weights", "api", "consumer", "reseller", "dataset")
FACTS = frozenset((
    "dataset", "teacher", "role", "generated_at", "generated_in", "account", "prompt", "completion", "parameters",
    "usage", "request_id", "finish_reason", "prompt_origin", "source_dataset", "parents", "human_contribution",
    "external_id",
))  # fmt: skip
log = logging.getLogger("provenance.client")


class Capture:
    """An open capture; use it in a `with` statement. `log` may be called from any thread."""

    def __init__(
        self,
        spool: Spool,
        post: Post,
        *,
        dataset: str,
        teacher: str | Mapping[str, Any],
        route: str | None,
        defaults: Mapping[str, Any],
        close_seconds: float = 30.0,
        source: str = "sdk",
    ) -> None:
        self._spool, self._close_seconds = spool, close_seconds
        self._defaults = {**defaults, "dataset": dataset, "teacher": parse_teacher(teacher, route)}
        _check_facts(self._defaults)
        self._segment: Segment | None = None
        self._synced_at = 0.0
        self._lock = threading.Lock()
        self._open = False
        self._uploader = Uploader(spool, post, source=source, before_round=self._tend)

    def __enter__(self) -> Capture:
        self._open = True
        self._uploader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self._uploader.raise_rejected()
        elif self._uploader.rejections:
            log.error("the service refused %d samples", len(self._uploader.rejections))

    def log(self, *, prompt: Any, completion: Any, **facts: Any) -> None:
        """Accept one sample; on return it is safe from the death of this process and of the service.

        Raises:
            MalformedError: it is no sample; nothing was accepted.
            UnavailableError: the disk did not take it; nothing was accepted.
        """
        line = format_sample({**self._defaults, **facts, "prompt": prompt, "completion": completion})
        with self._lock:
            if not self._open:
                raise ConflictError("this capture is not open: use `with client.capture(...) as capture`")
            if self._segment is not None and self._segment.size_bytes + len(line) > MAX_SEGMENT_BYTES:
                self._release()
            if self._segment is None:
                self._segment = self._spool.create()
            self._segment.append(line)
            if self._segment.lines >= MAX_LINES:
                self._release()

    def close(self) -> None:
        """Send what waits, for a limited time; the rest stays in the spool for the next process."""
        with self._lock:
            was_open, self._open = self._open, False
        if not was_open:
            return
        self._uploader.close(self._close_seconds)
        with self._lock:
            self._release()
        left = self._spool.count_waiting() + self._uploader.in_flight
        if left:
            log.warning(
                "%d samples wait in %s (%s); they are sent by the next capture, by `client.flush()` or by "
                "`provenance capture --resume`",
                left, self._spool.folder, self._uploader.trouble,
            )  # fmt: skip

    def _tend(self, closing: bool) -> None:
        """Sync what was written; let go of the segment when it is due."""
        with self._lock:
            segment, now = self._segment, time.monotonic()
            if segment is None:
                return
            if closing or now - segment.opened_at >= MAX_SECONDS:
                self._release()
            elif now - self._synced_at >= SYNC_SECONDS:
                self._synced_at = now
                segment.sync()

    def _release(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._uploader.wake()


def parse_teacher(teacher: str | Mapping[str, Any], route: str | None) -> dict[str, Any]:
    """`"openai/gpt-4o"` or a mapping, with the route, as a sample's teacher.

    Raises:
        MalformedError: no provider or model, or an unknown route.
    """
    if isinstance(teacher, str):
        provider, _, model = teacher.partition("/")
        value: dict[str, Any] = {"provider": provider, "model": model}
    else:
        value = dict(teacher)
    if route is not None:
        value["route"] = route
    if not value.get("provider") or not value.get("model"):
        raise _bad("teacher", teacher, "PROVIDER/MODEL, for example openai/gpt-4o-2024-08-06")
    if value.get("route") not in ROUTES:
        raise _bad("route", value.get("route"), " | ".join(ROUTES))
    return value


def format_sample(sample: Mapping[str, Any]) -> bytes:
    """A sample as one line; checks what is cheap.

    Raises:
        MalformedError: an unknown field, an empty or too large text, or what JSON cannot carry.
    """
    value = dict(sample)
    _check_facts(value)
    moment = value.setdefault("generated_at", datetime.now(UTC))
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise _bad("generated_at", moment.isoformat(), "a time with a zone")
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
        value["generated_at"] = text.replace("+00:00", "Z")
    _check_text("prompt", value["prompt"])
    _check_text("completion", value["completion"])
    try:
        # orjson writes NaN as null, silently; canonical JSON refuses it, and integers that others would round.
        canonical_bytes({name: item for name, item in value.items() if name not in {"prompt", "completion"}})
        return orjson.dumps(value)
    except (TypeError, RecursionError, MalformedError) as exc:
        raise MalformedError(
            f"the sample cannot be written as JSON: {exc}", FieldError("sample", None, "JSON values")
        ) from exc


def _check_facts(value: Mapping[str, Any]) -> None:
    for name in value:
        if name not in FACTS:
            raise _bad(name, value[name], f"one of {', '.join(sorted(FACTS))}")


def _check_text(field: str, value: Any) -> None:
    messages = [{"content": value}] if isinstance(value, str) else value
    if not isinstance(messages, list) or not all(isinstance(item, Mapping) for item in messages):
        raise _bad(field, value, "text, or a list of messages {role, content}")
    texts = [item["content"] for item in messages if isinstance(item.get("content"), str)]
    if not any(text.strip() for text in texts) and not any(item.get("tool_calls") for item in messages):
        raise _bad(field, value, "some text")
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if size > MAX_TEXT_BYTES:
        raise _bad(field, f"{size:,} bytes", f"at most {MAX_TEXT_BYTES:,} bytes of text")


def _bad(field: str, value: Any, expected: str) -> MalformedError:
    problem = FieldError(field, value, expected)
    return MalformedError(f"{field}: expected {expected}, got {problem.to_json()['value']!r}", problem)
