from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import MalformedError
from provenance.terms.days import parse_bound, parse_day, parse_period

DAYS = st.dates(min_value=dt.date(2020, 1, 1), max_value=dt.date(2030, 12, 31))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", dt.date(2024, 1, 1), dt.date(2024, 12, 31)),
        ("2024-02", dt.date(2024, 2, 1), dt.date(2024, 2, 29)),
        ("2024-02-29", dt.date(2024, 2, 29), dt.date(2024, 2, 29)),
    ],
)
def test_a_bound_means_every_day_that_it_may_mean(text: str, first: dt.date, last: dt.date) -> None:
    assert parse_bound(text) == (first, last)


@pytest.mark.parametrize("text", ["24", "2024-2", "2024-13", "2023-02-29", "2024-02-30", "spring 2024", ""])
def test_a_bound_that_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_bound(text)


def test_a_time_counts_as_its_day_in_utc() -> None:
    assert parse_day("2026-03-01T23:30:00-02:00") == dt.date(2026, 3, 2)
    assert parse_day("2026-03-01t23:30:00.5z") == dt.date(2026, 3, 1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T10:00:00",
        "yesterday",
        "2026-3-1",
        "20260301x",
        "2026-W09-7",  # ten characters, and a day by ISO 8601
        "20260301T100000Z",
        "２０２６-03-01",
        "0000-01-01",
        "0001-01-01T00:00:00+14:00",  # before the first day that a calendar here has
        "9999-12-31T23:59:59-14:00",
        "2026-03-01T24:61:00Z",
        "",
    ],
)
def test_a_day_without_zone_or_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_day(text)


@given(DAYS, DAYS, DAYS)
def test_a_day_is_in_a_period_exactly_between_its_bounds(one: dt.date, two: dt.date, day: dt.date) -> None:
    start, end = sorted((one, two))
    presence = parse_period(start.isoformat(), end.isoformat()).presence(day)
    assert presence == ("before" if day < start else "after" if day > end else "in")


@given(DAYS)
def test_a_fuzzy_bound_gives_perhaps_and_never_certainty(day: dt.date) -> None:
    presence = parse_period("2024", None).presence(day)
    assert presence == ("before" if day.year < 2024 else "maybe" if day < dt.date(2024, 12, 31) else "in")


@given(DAYS)
def test_an_open_start_is_never_certain(day: dt.date) -> None:
    assert parse_period(None, None).presence(day) == "maybe"


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(MalformedError, match="later than"):
        parse_period("2025-01-02", "2025-01-01")
