"""The sender behind a capture: a thread that brings segments to the service and never loses one.

- A segment goes away only after the service's receipt for it. Its name is the Idempotency-Key, so a lost answer is
  asked for again and nothing is recorded twice.
- A service that is down, busy or does not know our token is tried again, ever more slowly; the samples stay.
- A refused batch is cut: the line that the refusal names, else halves, until the bad sample stands alone in `rejected/`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.client.spool import Segment, Spool
from provenance.errors import ConflictError, FieldError, MalformedError, ProvenanceError

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 30.0
SHOWN_REJECTIONS = 3
log = logging.getLogger("provenance.client")
Post = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Rejection:
    """One sample that the service refused, and where it lies now."""

    reason: dict[str, Any]
    path: Path


class Uploader:
    """Sends what waits in `spool`, in its own thread; `before_round` lets the capture close its segment when it is due."""

    def __init__(
        self, spool: Spool, post: Post, *, source: str = "sdk", before_round: Callable[[bool], None] | None = None
    ) -> None:
        self._spool, self._post, self._source, self._before_round = spool, post, source, before_round
        self._wake, self._closing, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._deadline = float("inf")
        self._pause, self._not_before = 0.0, 0.0
        self.rejections: list[Rejection] = []
        self.trouble: ProvenanceError | None = None
        self.in_flight = 0  # samples of the segment that is on its way
        self._thread = threading.Thread(target=self._run, name="provenance-upload", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """Say that a segment is ready."""
        self._wake.set()

    def close(self, timeout_seconds: float) -> None:
        """Send what waits, for so long at most, and end; what is left stays for the next process."""
        self._deadline = time.monotonic() + timeout_seconds
        self._closing.set()
        self._wake.set()
        self._ended.wait(timeout_seconds)

    def raise_rejected(self) -> None:
        """Tell of refused samples.

        Raises:
            MalformedError: there are some.
        """
        if not self.rejections:
            return
        problems = [_problem(item) for item in self.rejections[:SHOWN_REJECTIONS]]
        raise MalformedError(
            f"the service refused {len(self.rejections)} samples; they lie in {self.rejections[0].path.parent}. "
            f"The first: {self.rejections[0].reason['detail']}",
            *problems,
        )

    def _run(self) -> None:
        while True:
            self._wake.wait(0.1)
            self._wake.clear()
            closing = self._closing.is_set()
            try:
                if self._before_round is not None:
                    self._before_round(closing)
                done = self._send_all()
            except Exception as exc:  # noqa: BLE001 - the samples stay in the spool; this thread must not die with them
                log.warning("the spool %s: %s", self._spool.folder, exc)
                done = False
            if closing and (done or time.monotonic() >= self._deadline):
                self._ended.set()
                return

    def _send_all(self) -> bool:
        """Whether nothing is left that could be sent now."""
        if time.monotonic() < self._not_before:
            return False
        found = True
        while found:  # again, as a refused segment leaves smaller ones
            found = False
            for segment in self._spool.take_waiting():
                found = True
                try:
                    if time.monotonic() >= self._deadline or not self._send(segment):
                        return False
                finally:
                    segment.close()
                    self.in_flight = 0
        return True

    def _send(self, segment: Segment) -> bool:
        """Whether the segment is dealt with; if not, it is still there."""
        lines = segment.read()
        self.in_flight = lines.count(b"\n")
        if not lines:
            segment.delete()
            return True
        try:
            self._post(lines, source=self._source, idempotency_key=segment.key)
        except MalformedError as exc:
            self._divide(segment, lines, exc)
        except ProvenanceError as exc:
            if not _is_of_key(exc):
                self._slow_down(exc)
                return False
            self._reject_all(segment, lines, exc)
        else:
            segment.delete()
        self._pause, self._not_before, self.trouble = 0.0, 0.0, None
        return True

    def _slow_down(self, exc: ProvenanceError) -> None:
        if self.trouble is None:
            log.warning("samples wait in %s: %s", self._spool.folder, exc.detail)
        self.trouble = exc
        self._pause = min(max(self._pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        # Many pipelines that lost one service must not come back at the same moment.
        self._not_before = time.monotonic() + self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    def _divide(self, segment: Segment, lines: bytes, exc: MalformedError) -> None:
        rows = [row + b"\n" for row in lines[:-1].split(b"\n")]
        named = next((item.line for item in exc.errors if item.line and item.line <= len(rows)), None)
        if len(rows) == 1:
            named = 1
        if named is None:
            middle = len(rows) // 2
            self._spool.split(segment, (b"".join(rows[:middle]), b"".join(rows[middle:])))
            return
        self._reject(segment.key, rows[named - 1], exc)
        self._spool.split(segment, [b"".join(rows[: named - 1] + rows[named:])])

    def _reject_all(self, segment: Segment, lines: bytes, exc: ProvenanceError) -> None:
        # The key stands for these very lines, so the service has something of them: sending them under a new one could
        # record them twice. They are kept for a person to look at.
        for row in lines[:-1].split(b"\n"):
            self._reject(segment.key, row, exc)
        segment.delete()

    def _reject(self, key: str, row: bytes, exc: ProvenanceError) -> None:
        reason = {"code": exc.code, "detail": exc.detail, "errors": [item.to_json() for item in exc.errors]}
        self.rejections.append(Rejection(reason, self._spool.reject(key, row.rstrip(b"\n"), reason)))


def _is_of_key(exc: ProvenanceError) -> bool:
    return isinstance(exc, ConflictError) and any(item.field == "Idempotency-Key" for item in exc.errors)


def _problem(item: Rejection) -> FieldError:
    first: dict[str, Any] = next(iter(item.reason["errors"]), {})
    return FieldError(
        str(first.get("field", "sample")), first.get("value"), str(first.get("expected", item.reason["detail"]))
    )
