"""What everything that is sent has in common: by which means, how long it rests after a try that failed, when it is given up."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import SecretStr

from provenance.ledger.append import format_time
from provenance.recall.deliver import Post
from provenance.runtime import Runtime
from provenance.store.notices import GIVEN_UP, SENT
from provenance.store.session import write_session
from provenance.store.tables import Notice

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
LEASE = timedelta(minutes=10)  # a message that a courier took and never answered for is taken up again after it
GIVE_UP_AFTER = timedelta(days=7)


def wait_after(attempts: int) -> timedelta:
    """How long a message rests after so many tries: 30 s, doubled each time, an hour at most."""
    return min(timedelta(seconds=FIRST_WAIT.total_seconds() * 2 ** min(attempts - 1, 10)), LONGEST_WAIT)


def read_post(runtime: Runtime) -> Post:
    """The means that the settings give."""
    settings = runtime.settings
    secrets = (settings.webhook_secret, settings.smtp_url, settings.openlineage_api_key)
    webhook, smtp, openlineage = map(_open, secrets)
    return Post(webhook, smtp, settings.smtp_from, openlineage)


def _open(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def put_off(runtime: Runtime, identifier: str, now: datetime, why: str) -> None:
    """A try failed: the message rests, or is given up after a week."""
    with write_session(runtime.engine) as session:
        notice = session.get_one(Notice, identifier)
        notice.attempts += 1
        notice.last_error = why
        notice.next_at = format_time(now + wait_after(notice.attempts))
        if notice.next_at > format_time(datetime.fromisoformat(notice.created_at) + GIVE_UP_AFTER):
            notice.state = GIVEN_UP
        session.add(notice)


def mark(runtime: Runtime, identifier: str, *, state: str, why: str | None = None) -> None:
    """A message has come to its end."""
    with write_session(runtime.engine) as session:
        notice = session.get_one(Notice, identifier)
        notice.state, notice.attempts, notice.last_error = state, notice.attempts + 1, why
        if notice.entry is not None and state == SENT:
            notice.body = {}  # that it was told is kept; what was told can be made again from the log
        session.add(notice)
