"""The thread that empties the outbox: what did not arrive is tried again, at growing intervals, for a week.

An arrival is logged as the recall's act, so that who was told, and when, is on record.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from provenance.errors import ConflictError, NotFoundError, UnavailableError
from provenance.jobs.emission import Emission
from provenance.jobs.outbox import LEASE, mark, put_off, read_post
from provenance.ledger.append import format_time
from provenance.recall.acts import NOTIFY
from provenance.recall.deliver import deliver
from provenance.recall.open import settle_act
from provenance.runtime import Runtime
from provenance.store.notices import SENT, claim_due
from provenance.store.session import write_session

LOOK_SECONDS = 5.0
SERVICE = "service"
log = logging.getLogger("provenance.courier")


def empty_outbox(runtime: Runtime, send: Callable[..., str] = deliver) -> int:
    """Try every message that is due once; how many arrived."""
    post, now = read_post(runtime), runtime.clock()
    with write_session(runtime.engine) as session:
        due = claim_due(session, now=format_time(now), until=format_time(now + LEASE))
    arrived = 0
    for said in due:
        now = runtime.clock()
        try:
            answer = send(post, said["id"], said["address"], said["body"], timestamp=int(now.timestamp()))
        except UnavailableError as exc:
            put_off(runtime, said["id"], now, exc.detail)
            continue
        _log_arrival(runtime, said["about"], said["address"], answer)
        mark(runtime, said["id"], state=SENT)
        arrived += 1
    return arrived


def _log_arrival(runtime: Runtime, recall: str, address: str, answer: str) -> None:
    try:
        settle_act(runtime, recall, f"{NOTIFY}:{address}", result="done", actor=SERVICE, note=answer)
    except (ConflictError, NotFoundError):
        log.info("recall %s was told to %s, and was over by then", recall, address)  # it was told all the same


class Courier:
    """Looks into the outbox every few seconds, in a thread of its own; first, where an endpoint is set, into the log."""

    def __init__(
        self, runtime: Runtime, emission: Emission | None = None, *, look_seconds: float | None = None
    ) -> None:
        self._look_seconds = LOOK_SECONDS if look_seconds is None else look_seconds
        self._runtime, self._stop = runtime, threading.Event()
        self._emission = emission
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what waits is sent by the next one."""
        self._stop.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        while not self._stop.wait(self._look_seconds):
            for piece in self._pieces():
                try:
                    piece()
                except Exception:
                    log.exception("the outbox could not be emptied; it is tried again")

    def _pieces(self) -> list[Callable[[], object]]:
        """The work of one look, each piece of which may fail for itself. Notices come first: they are urgent."""
        pieces: list[Callable[[], object]] = [lambda: empty_outbox(self._runtime)]
        if (emission := self._emission) is not None:
            pieces += [emission.follow, emission.send]
        return pieces
