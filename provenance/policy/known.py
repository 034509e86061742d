"""What was known on a day: the catalogue and the pack that the log held then, whatever it has learned since."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError
from provenance.policy.lifts import Lifts, load_lifts
from provenance.policy.pack import Pack
from provenance.policy.recorded import load_recorded_pack
from provenance.store.history import list_history
from provenance.terms.catalogue import Catalogue
from provenance.terms.days import parse_day
from provenance.terms.recorded import load_recorded

DAY_CHARACTERS = len("2026-11-24")
TODAY = "today"
KINDS = ("terms", "policy")


@dataclass(frozen=True)
class Known:
    """The catalogue and the pack of a log size, and what lifted rules on the day that is asked for; without a log, the
    shipped ones.
    """

    log_size: int | None
    catalogue: Catalogue
    pack: Pack
    lifts: Lifts = field(default_factory=Lifts)


def load_known(session: Session, known_at: str, *, now: datetime, day: date | None = None) -> Known:
    """What had been recorded by a moment: the end of a day, or an RFC 3339 time. `day` is the one that is asked for.

    Raises:
        MalformedError: not a time, one in the future, or one before this log knew terms and policy.
    """
    moment = _parse_moment(known_at, now)
    rows = list_history(session, KINDS)
    timed = [
        (row, datetime.fromisoformat(row.predicate["recorded_at"])) for row in rows if "recorded_at" in row.predicate
    ]
    first = {row.kind: at for row, at in reversed(timed)}
    began = max(first.values()) if len(first) == len(KINDS) else now
    if moment < began:
        expected = f"a day or time from {began:%Y-%m-%dT%H:%M:%SZ} on, when this log first knew terms and a policy"
        raise MalformedError(
            f"known_at: nothing had been recorded by {known_at}", FieldError("known_at", known_at, expected)
        )
    size = max((row.index for row, at in timed if at <= moment), default=0) + 1
    held = load_lifts(session, day or now.date(), log_size=size)
    return Known(size, load_recorded(session, size), load_recorded_pack(session, size), held)


def parse_terms_day(text: str, *, today: date) -> date:
    """The day whose terms are asked for: `today`, or a day that has come.

    Raises:
        MalformedError: not a day, or one in the future.
    """
    day = today if text == TODAY else _parse("terms_of", text)
    if day > today:
        raise MalformedError(
            f"terms_of: {text} is in the future", FieldError("terms_of", text, f'"today", or a day up to {today}')
        )
    return day


def _parse_moment(text: str, now: datetime) -> datetime:
    day = _parse("known_at", text)
    if len(text) == DAY_CHARACTERS:
        moment, future = datetime.combine(day, time.max, UTC), day > now.date()
    else:
        moment = datetime.fromisoformat(text)
        future = moment > now
    if future:
        expected = f"a day or time that has come; now is {now:%Y-%m-%dT%H:%M:%SZ}"
        raise MalformedError(f"known_at: {text} is in the future", FieldError("known_at", text, expected))
    return moment


def _parse(name: str, text: str) -> date:
    try:
        return parse_day(text)
    except MalformedError as exc:
        raise MalformedError(f"{name}: {exc.detail}", FieldError(name, text, "a day, or an RFC 3339 time")) from exc
