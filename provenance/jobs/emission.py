"""Tell an OpenLineage endpoint what the log says: each release, withdrawal, and start and end of a run becomes events.

- The log is what is followed, so that no stage knows of this, and a crash anywhere loses nothing: the outbox holds how far
  an endpoint was told, and a new endpoint is told everything from the first entry on.
- Events wait in the outbox and are sent in the order of the log. While the endpoint does not answer, the first of them is
  tried again at growing intervals and the others wait behind it; nothing else waits for it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from provenance.errors import MalformedError, SettingsError, UnavailableError
from provenance.export.events import list_events
from provenance.export.gather import gather_things
from provenance.jobs.outbox import LEASE, mark, put_off, read_post
from provenance.ledger.append import format_time
from provenance.recall.addresses import check_webhook
from provenance.recall.deliver import deliver_event
from provenance.runtime import Runtime
from provenance.store.history import list_after
from provenance.store.notices import GIVEN_UP, SENT, add_event, claim_events, find_last_entry, release_events
from provenance.store.session import read_session, write_session

KINDS = {"release": "release", "withdrawal": "release", "run": "run"}
AT_ONCE = 50  # statements that become events at one look: notices of recalls do not wait for a long history
SETTING = "PROVENANCE_OPENLINEAGE_URL"
log = logging.getLogger("provenance.emission")


class Emission:
    """Follows the log for one endpoint; `read_to` is the newest statement that was looked at."""

    def __init__(self, runtime: Runtime, address: str) -> None:
        self._runtime, self._address = runtime, address
        with read_session(runtime.engine) as session:
            last = find_last_entry(session, address)
        self._read_to = -1 if last is None else last

    def follow(self) -> int:
        """Put the events of the next statements into the outbox; how many statements were looked at."""
        self._runtime.refresh()
        now = format_time(self._runtime.clock())
        with read_session(self._runtime.engine) as session:
            rows = list_after(session, tuple(KINDS), self._read_to, limit=AT_ONCE)
            if not rows:
                return 0
            keys = {row.index: row.key for row in rows}
            things = dict.fromkeys(f"{KINDS[row.kind]}:{row.key}" for row in rows)
            events = list_events(gather_things(session, list(things), self._runtime.catalogue))
        numbers: Counter[int] = Counter()
        with write_session(self._runtime.engine) as session:
            for entry, body in (event for event in events if event.entry in keys):
                add_event(session, self._address, keys[entry], body, entry=entry, number=numbers[entry], now=now)
                numbers[entry] += 1
        self._read_to = rows[-1].index
        return len(rows)

    def send(self, deliver: Callable[..., str] = deliver_event) -> int:
        """Try the events that are due, in the order of the log, up to the first that does not arrive; how many did."""
        runtime, now = self._runtime, self._runtime.clock()
        with write_session(runtime.engine) as session:
            due = claim_events(session, self._address, now=format_time(now), until=format_time(now + LEASE))
        post, arrived = read_post(runtime), 0
        for place, said in enumerate(due, 1):
            try:
                deliver(post, self._address, said["body"])
            except MalformedError as exc:  # this one event is at fault: what comes after it does not wait
                log.warning("event %s about %s is not sent: %s", said["id"], said["about"], exc.detail)
                mark(runtime, said["id"], state=GIVEN_UP, why=exc.detail)
            except UnavailableError as exc:
                put_off(runtime, said["id"], now, exc.detail)
                with write_session(runtime.engine) as session:
                    release_events(session, [item["id"] for item in due[place:]], now=format_time(now))
                break
            else:
                mark(runtime, said["id"], state=SENT)
                arrived += 1
        return arrived


def open_emission(runtime: Runtime) -> Emission | None:
    """The emission that the settings ask for; None where they name no endpoint.

    Raises:
        SettingsError: the endpoint is no address that anything may be posted to.
    """
    url = runtime.settings.openlineage_url
    if url is None:
        return None
    try:
        return Emission(runtime, check_webhook(SETTING, url))
    except MalformedError as exc:
        raise SettingsError(exc.detail, *exc.errors) from exc
