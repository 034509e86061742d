"""Days and the bounds of terms, which may be known to the year or month only.

- A bound is a pair (earliest, latest): `2024` may mean any day of that year.
- A missing bound is open: its day is not on record, which is not the same as "for ever".
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal

from provenance.errors import MalformedError

Presence = Literal["in", "maybe", "before", "after"]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII)
_BOUND = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


def parse_day(text: str) -> dt.date:
    """A date `YYYY-MM-DD` or an RFC 3339 time, as its day in UTC; anything else is malformed."""
    try:
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text)
        # ISO 8601 knows more forms, weeks among them, that RFC 3339 does not.
        moment = dt.datetime.fromisoformat(text.upper()) if _TIME.fullmatch(text) else None
        day = moment.astimezone(dt.UTC).date() if moment and moment.tzinfo else None
    except (ValueError, OverflowError) as exc:  # the first and last day of the calendar overflow in another zone
        raise MalformedError(f"{text!r} is not a date or an RFC 3339 time") from exc
    if moment is None:
        raise MalformedError(f"{text!r} is not a date or an RFC 3339 time")
    if day is None:
        raise MalformedError(f"{text!r} has no time zone; expected RFC 3339, for example 2026-11-24T10:00:00Z")
    return day


def parse_bound(text: str | None) -> tuple[dt.date, dt.date] | None:
    """The earliest and latest day that `2024`, `2024-11` or `2024-11-05` can mean; None when open."""
    if text is None:
        return None
    match = _BOUND.fullmatch(text)
    if match is None:
        raise MalformedError(f"{text!r} is not a year, month or day (YYYY, YYYY-MM, YYYY-MM-DD)")
    year, month, day = int(match[1]), match[2] and int(match[2]), match[3] and int(match[3])
    try:
        if day and month:
            exact = dt.date(year, month, day)
            return exact, exact
        if month:
            return dt.date(year, month, 1), dt.date(year, month, calendar.monthrange(year, month)[1])
        return dt.date(year, 1, 1), dt.date(year, 12, 31)
    except ValueError as exc:
        raise MalformedError(f"{text!r} is not a day of the calendar") from exc


@dataclass(frozen=True)
class Period:
    """When a document was in force; each bound may be fuzzy or open."""

    start: tuple[dt.date, dt.date] | None
    end: tuple[dt.date, dt.date] | None

    def presence(self, day: dt.date) -> Presence:
        """Whether the document was in force on `day`: certainly, perhaps, not yet, or no longer."""
        if self.start is not None and day < self.start[0]:
            return "before"
        if self.end is not None and day > self.end[1]:
            return "after"
        begun = self.start is not None and day >= self.start[1]
        going = self.end is None or day <= self.end[0]
        return "in" if begun and going else "maybe"


def parse_period(start: str | None, end: str | None) -> Period:
    """The period from the bounds of a document; without an end it is still in force."""
    parsed_end = parse_bound(end)
    parsed_start = parse_bound(start)
    if parsed_start and parsed_end and parsed_start[0] > parsed_end[1]:
        raise MalformedError(f"effective_from {start} is later than effective_to {end}")
    return Period(parsed_start, parsed_end)
