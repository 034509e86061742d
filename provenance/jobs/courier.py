"""The thread that empties the outbox: what did not arrive is tried again, at growing intervals, for a week.

An arrival is logged as the recall's act, so that who was told, and when, is on record.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import SecretStr

from provenance.errors import ConflictError, NotFoundError, UnavailableError
from provenance.ledger.append import format_time
from provenance.recall.acts import NOTIFY
from provenance.recall.deliver import Post, deliver
from provenance.recall.open import settle_act
from provenance.runtime import Runtime
from provenance.store.notices import GIVEN_UP, SENT, claim_due
from provenance.store.session import write_session
from provenance.store.tables import Notice

LOOK_SECONDS = 5.0
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
LEASE = timedelta(minutes=10)  # a message that a courier took and never answered for is taken up again after it
GIVE_UP_AFTER = timedelta(days=7)
SERVICE = "service"
log = logging.getLogger("provenance.courier")


def wait_after(attempts: int) -> timedelta:
    """How long a message rests after so many tries: 30 s, doubled each time, an hour at most."""
    return min(timedelta(seconds=FIRST_WAIT.total_seconds() * 2 ** min(attempts - 1, 10)), LONGEST_WAIT)


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
            _put_off(runtime, said["id"], now, exc.detail)
            continue
        _log_arrival(runtime, said["recall"], said["address"], answer)
        _mark(runtime, said["id"], state=SENT)
        arrived += 1
    return arrived


def read_post(runtime: Runtime) -> Post:
    """The means that the settings give."""
    settings = runtime.settings
    return Post(_open(settings.webhook_secret), _open(settings.smtp_url), settings.smtp_from)


def _open(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _log_arrival(runtime: Runtime, recall: str, address: str, answer: str) -> None:
    try:
        settle_act(runtime, recall, f"{NOTIFY}:{address}", result="done", actor=SERVICE, note=answer)
    except (ConflictError, NotFoundError):
        log.info("recall %s was told to %s, and was over by then", recall, address)  # it was told all the same


def _put_off(runtime: Runtime, identifier: str, now: datetime, why: str) -> None:
    with write_session(runtime.engine) as session:
        notice = session.get_one(Notice, identifier)
        notice.attempts += 1
        notice.last_error = why
        notice.next_at = format_time(now + wait_after(notice.attempts))
        if notice.next_at > format_time(datetime.fromisoformat(notice.created_at) + GIVE_UP_AFTER):
            notice.state = GIVEN_UP
        session.add(notice)


def _mark(runtime: Runtime, identifier: str, *, state: str) -> None:
    with write_session(runtime.engine) as session:
        notice = session.get_one(Notice, identifier)
        notice.state, notice.attempts, notice.last_error = state, notice.attempts + 1, None
        session.add(notice)


class Courier:
    """Looks into the outbox every few seconds, in a thread of its own."""

    def __init__(self, runtime: Runtime, *, look_seconds: float | None = None) -> None:
        self._look_seconds = LOOK_SECONDS if look_seconds is None else look_seconds
        self._runtime, self._stop = runtime, threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what waits is sent by the next one."""
        self._stop.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        while not self._stop.wait(self._look_seconds):
            try:
                empty_outbox(self._runtime)
            except Exception:
                log.exception("the outbox could not be emptied; it is tried again")
