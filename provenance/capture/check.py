"""Checks of single values in what a pipeline hands in: names, moments, counts, free-form JSON.

A bad value is an error that names field, value, what was expected and the line; a good one comes back in its plain form.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from provenance.canonical import MAX_SAFE_INTEGER
from provenance.errors import FieldError, MalformedError

Value = TypeVar("Value", bound=Struct)

MAX_NAME_CHARACTERS = 200
MAX_FREE_FORM_BYTES = 8 * 1024
MAX_FREE_FORM_DEPTH = 32  # an entry puts it two levels deeper, and is read down to 64
MAX_TOKENS = 2**31 - 1
CLOCK_SKEW = timedelta(days=1)

UTC_SECONDS = len("2026-11-24T10:00:00Z")  # no other form of MOMENT is as short
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# Control characters, line and paragraph separators, bidirectional marks and overrides, lone surrogates.
UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def format_moment(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second, or to the millisecond where there is one."""
    moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


class Checker:
    """Raises for the first bad field, with the line that it stands in.

    One serves a whole request: names and teachers come again and again, and what was found good is not looked at twice.
    """

    def __init__(self, line: int | None) -> None:
        self.line = line
        self._names: set[str] = set()
        self._checked: dict[Any, Any] = {}

    def fail(self, field: str, value: Any, expected: str) -> NoReturn:
        """Refuse `value` of `field`."""
        raise self.error(field, value, expected)

    def error(self, field: str, value: Any, expected: str) -> MalformedError:
        """The error that says what was expected of `field` instead of `value`."""
        problem = FieldError(field, value, expected, self.line)
        where = f"line {self.line}: " if self.line else ""
        return MalformedError(f"{where}{field}: expected {expected}, got {problem.to_json()['value']!r}", problem)

    def name(self, field: str, value: str | None, *, optional: bool = False) -> None:
        """A name that may stand on a page and in a file: short, printable, in one direction."""
        if (value is None and optional) or value in self._names:
            return
        expected = f"1 to {MAX_NAME_CHARACTERS} characters without control or bidirectional characters"
        text = value or ""
        if not text.strip() or len(text) > MAX_NAME_CHARACTERS or UNFIT.search(text):
            self.fail(field, value, expected)
        self._names.add(text)

    def once(self, value: Value, check: Callable[[Value], None]) -> Value:
        """`value` as `check` leaves it, or an equal one that was checked before."""
        key = astuple(value)
        known: Value | None = self._checked.get(key)
        if known is None:
            check(value)
            self._checked[key] = known = value
        return known

    def kind(self, field: str, value: Any) -> None:
        """None, or a name, of a field whose type nothing has checked yet."""
        if not isinstance(value, str | None):
            self.fail(field, value, "text")
        self.name(field, value, optional=True)

    def matches(self, field: str, value: str | None, pattern: re.Pattern[str], expected: str) -> None:
        """None, or text that `pattern` matches whole."""
        if value is not None and not pattern.fullmatch(value):
            self.fail(field, value, expected)

    def moment(self, field: str, value: str, now: datetime, *, day: bool = False) -> str:
        """An RFC 3339 time, in UTC; with `day`, a day will do."""
        expected = "an RFC 3339 time with a zone, for example 2026-11-24T10:00:00Z"
        if day:
            expected = "a day such as 2026-11-24, or an RFC 3339 time"
        is_day = day and DAY.fullmatch(value)
        if not is_day and not MOMENT.fullmatch(value):
            self.fail(field, value, expected)
        try:
            text = f"{value}T00:00:00Z" if is_day else value.upper()
            moment = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):  # no such day, or one before the year 1 in UTC
            raise self.error(field, value, expected) from None
        if moment > now + CLOCK_SKEW:
            self.fail(field, value, "a time that is not in the future")
        return text if len(text) == UTC_SECONDS else format_moment(moment)

    def count(self, field: str, value: int | None) -> None:
        """None, or a count of tokens."""
        if value is not None and not 0 <= value <= MAX_TOKENS:
            self.fail(field, value, f"a count of tokens, 0 to {MAX_TOKENS:,}")

    def free_form(self, field: str, value: Any) -> Any:
        """`value` in its plain form, if it is small enough to stand in an entry."""
        if not value:
            return value
        plain = self.plain(field, value)
        size = len(msgspec.json.encode(plain))
        if size > MAX_FREE_FORM_BYTES:
            self.fail(field, f"{size:,} bytes", f"at most {MAX_FREE_FORM_BYTES:,} bytes of JSON")
        return plain

    def plain(self, field: str, value: Any, depth: int = 0) -> Any:
        """`value` as canonical JSON can say it; `1.0` becomes `1`, which RFC 8785 writes for both."""
        kind = type(value)
        if depth > MAX_FREE_FORM_DEPTH:
            self.fail(field, "…", f"at most {MAX_FREE_FORM_DEPTH} levels")
        if kind is dict:
            return {name: self.plain(f"{field}.{name}", item, depth + 1) for name, item in value.items()}
        if kind is list:
            return [self.plain(f"{field}[{position}]", item, depth + 1) for position, item in enumerate(value)]
        if kind is int and not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            self.fail(field, str(value), "an integer within ±(2^53-1)")
        if kind is float and value.is_integer() and abs(value) <= MAX_SAFE_INTEGER:
            return int(value)
        return value
