"""The queue between HTTP requests and the model: concurrent requests share one forward pass.

- One worker thread owns the model; a request puts a `Job` in and reads its events until `Done` or `Failed`.
- A batch starts `window_seconds` after its first job or when `max_batch` jobs wait, whichever comes first.
- A request that went away (`job.cancel()`) leaves the batch at the next token.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from provenance.training.generate import Sampling, decode_batch

FinishReason = Literal["stop", "length"]
UNFINISHED_CHARACTER = "\ufffd"


@dataclass(frozen=True)
class Done:
    """The end of a completion: why it ended and how many tokens it took."""

    finish_reason: FinishReason
    tokens: int


@dataclass(frozen=True)
class Failed:
    """The model could not answer; the sentence is for the caller."""

    detail: str


Event = str | Done | Failed


@dataclass
class Job:
    """One request in the queue; the worker fills `events` with pieces of text and one end."""

    prompt: Sequence[int]
    sampling: Sampling
    tokenizer: Any
    end_tokens: frozenset[int]
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    tokens: list[int] = field(default_factory=list)
    sent: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def take(self, token: int) -> bool:
        """Add one token; False when this was the last one."""
        if self.cancelled.is_set():
            return False
        if token in self.end_tokens:
            return self._end("stop", self._text())
        self.tokens.append(token)
        text = self._text()
        found = [place for stop in self.sampling.stop if (place := text.find(stop)) >= 0]
        if found:
            return self._end("stop", text[: min(found)])
        if len(self.tokens) >= self.sampling.max_tokens:
            return self._end("length", text)
        self._send(text, hold=max((len(stop) - 1 for stop in self.sampling.stop), default=0))
        return True

    def read(self) -> Iterator[Event]:
        """Events as they come, the end included."""
        while True:
            event = self.events.get()
            yield event
            if not isinstance(event, str):
                return

    def cancel(self) -> None:
        """Nobody waits any more: stop at the next token."""
        self.cancelled.set()

    def _text(self) -> str:
        return str(self.tokenizer.decode(self.tokens, skip_special_tokens=True))

    def _send(self, text: str, hold: int) -> None:
        # A character may need several tokens, and a stop string may begin here: keep both back until they are settled.
        if text.endswith(UNFINISHED_CHARACTER):
            return
        piece = text[self.sent : len(text) - hold]
        if piece:
            self.events.put(piece)
            self.sent += len(piece)

    def _end(self, reason: FinishReason, text: str) -> bool:
        if len(text) > self.sent:
            self.events.put(text[self.sent :])
        self.events.put(Done(reason, len(self.tokens)))
        return False


class Batcher:
    """The worker thread that owns the model."""

    def __init__(self, model: Any, pad: int, *, window_seconds: float = 0.03, max_batch: int = 16) -> None:
        self._model = model
        self._pad = pad
        self._window_seconds = window_seconds
        self._max_batch = max_batch
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.largest_batch = 0
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job into the queue."""
        self._jobs.put(job)

    def close(self) -> None:
        """Finish what is running, then stop."""
        self._jobs.put(None)
        self._thread.join(timeout=30)

    def _work(self) -> None:
        while (batch := self._collect()) is not None:
            self.largest_batch = max(self.largest_batch, len(batch))
            self._run(batch)

    def _collect(self) -> list[Job] | None:
        first = self._jobs.get()
        if first is None:
            return None
        batch = [first]
        deadline = time.monotonic() + self._window_seconds
        while len(batch) < self._max_batch:
            try:
                job = self._jobs.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)  # close after this batch
                break
            batch.append(job)
        return batch

    def _run(self, batch: list[Job]) -> None:
        jobs = [job for job in batch if not job.cancelled.is_set()]
        if not jobs:
            return
        try:
            decode_batch(
                self._model,
                [job.prompt for job in jobs],
                [job.sampling for job in jobs],
                lambda row, token: jobs[row].take(token),
                self._pad,
            )
        except Exception as exc:  # noqa: BLE001  # the worker must outlive one bad batch; every waiting caller is told
            for job in jobs:
                job.events.put(Failed(f"{type(exc).__name__}: {exc}"))
