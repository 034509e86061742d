"""A streamed chat completion, put together from its chunks; and the events (SSE) that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from provenance.capture.chat import INTERRUPTED, MAX_CHOICES, Choice, Completion
from provenance.errors import MalformedError

DONE = b"[DONE]"
MAX_EVENT_BYTES = 8 * 1024 * 1024


def iterate_events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The `data` of each event; comments, names and ids are passed over.

    Lines end in LF or CRLF only: a prompt may hold U+2028, at which text-splitting would cut.

    Raises:
        MalformedError: an event that does not end within 8 MiB.
    Source: HTML Living Standard, "Server-sent events", section 9.2.6.
    """
    rest, data = b"", []
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                data.append(text[5:].removeprefix(b" "))
            elif not text and data:
                yield b"\n".join(data)
                data = []
        if len(rest) + sum(map(len, data)) > MAX_EVENT_BYTES:
            raise MalformedError(f"the upstream sent an event of more than {MAX_EVENT_BYTES:,} bytes")
    if rest.startswith(b"data:"):
        data.append(rest[5:].removeprefix(b" ").removesuffix(b"\r"))
    if data:
        yield b"\n".join(data)


@dataclass
class _Pieces:
    """One choice as far as it came; texts are kept in pieces, as adding up a long text would be quadratic."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    finish_reason: str | None = None

    def add(self, delta: dict[str, Any]) -> None:
        for name, value in delta.items():
            if name == "tool_calls" and isinstance(value, list):
                for call in value:
                    self._add_call(call)
            elif name != "role" and isinstance(value, str):
                self.texts.setdefault(name, []).append(value)

    def _add_call(self, call: Any) -> None:
        if not isinstance(call, dict):
            raise MalformedError("the upstream sent a tool call that is no object")
        known = self.calls.setdefault(int(call.get("index") or 0), {"type": "function", "function": {}})
        known.update({name: call[name] for name in ("id", "type") if call.get(name)})
        function = call.get("function") or {}
        for name in ("name", "arguments"):
            if isinstance(function.get(name), str):
                known["function"].setdefault(name, []).append(function[name])

    def choice(self) -> Choice:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message.update({name: "".join(parts) for name, parts in self.texts.items()})
        if self.calls:
            message["tool_calls"] = [
                {**call, "function": {name: "".join(parts) for name, parts in call["function"].items()}}
                for _, call in sorted(self.calls.items())
            ]
        return Choice(message, self.finish_reason or INTERRUPTED)


@dataclass
class Accumulator:
    """Takes chunks, says when every one of `expected` choices has finished, and gives the completion so far."""

    expected: int = 1
    head: dict[str, Any] = field(default_factory=dict)
    pieces: dict[int, _Pieces] = field(default_factory=dict)

    def add(self, chunk: Any) -> bool:
        """Take one chunk; whether it must be held back until the sample is recorded, as it finishes a choice.

        Raises:
            MalformedError: it is no chunk of a chat completion.
        """
        if not isinstance(chunk, dict) or not isinstance(chunk.get("choices", []), list):
            raise MalformedError("the upstream sent an event that is no chat completion chunk")
        for name in ("id", "model", "system_fingerprint", "usage"):
            if chunk.get(name):
                self.head[name] = chunk[name]
        finishes = False
        for item in chunk.get("choices", []):
            if not isinstance(item, dict):
                raise MalformedError("the upstream sent a choice that is no object")
            finishes |= self._add_choice(item)
        return finishes or self.finished

    def _add_choice(self, item: dict[str, Any]) -> bool:
        index = item.get("index") or 0
        if type(index) is not int or not 0 <= index < MAX_CHOICES:
            raise MalformedError(f"the upstream sent choice {index!r}; expected 0 to {MAX_CHOICES - 1}")
        pieces = self.pieces.setdefault(index, _Pieces())
        if isinstance(item.get("delta"), dict):
            pieces.add(item["delta"])
        if isinstance(item.get("finish_reason"), str):
            pieces.finish_reason = item["finish_reason"]
            return True
        return False

    @property
    def finished(self) -> bool:
        """Whether every choice came to its end."""
        done = sum(item.finish_reason is not None for item in self.pieces.values())
        return done >= max(self.expected, len(self.pieces))

    def completion(self) -> Completion:
        """What came so far; a choice without its end has the finish reason `interrupted`."""
        choices = {index: pieces.choice() for index, pieces in self.pieces.items()}
        return Completion(choices, *(self.head.get(name) for name in ("id", "model", "system_fingerprint", "usage")))
