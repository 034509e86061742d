"""How numbers, sizes, times and digests are written for people, on pages and in reports; JSON and CSV stay exact."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

Time = datetime | str
"""An aware datetime, or its RFC 3339 text."""

SHORT_DIGEST_CHARACTERS = 16


def format_number(value: float | None, digits: int | None = None) -> str:
    """A number with grouped thousands; `digits` after the point where it is no integer."""
    if value is None:
        return "not recorded"
    if digits is None:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f"{value:,.{digits}f}"


def format_count(value: int, noun: str) -> str:
    """A count with its noun, in the plural unless it is one."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def format_share(value: float | None) -> str:
    """A share of one as per cent, with two meaningful digits when it is small."""
    if value is None:
        return "not recorded"
    percent = value * 100
    return f"{percent:.1f}%" if percent >= 1 or percent == 0 else f"{percent:.2g}%"


def format_bytes(value: int | None) -> str:
    """A size in bytes, in the largest unit that leaves at least one."""
    if value is None:
        return "not recorded"
    size = float(value)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{value:,} bytes" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    raise AssertionError("the last unit always returns")


def format_duration(seconds: float | None) -> str:
    """A duration in the two largest units that say something."""
    if seconds is None:
        return "not recorded"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_time(value: Time | None) -> str | Markup:
    """A moment as `<time>`: absolute, in UTC, to the second."""
    if value is None:
        return "not recorded"
    moment = read_time(value)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}">{} UTC</time>').format(stamp, f"{moment.day} {moment:%b %Y, %H:%M:%S}")


def format_day(value: Time | None) -> str | Markup:
    """A day as `<time>`; what is no whole date (a month, a word) is printed as it stands."""
    if value is None:
        return "not recorded"
    try:
        moment = read_time(value)
    except ValueError:
        return str(value)
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%d}", f"{moment.day} {moment:%b %Y}")


def shorten_digest(value: str | None) -> str:
    """The first 16 digits of a digest, without its algorithm; the whole value stays in the page beside it."""
    if value is None:
        return "not recorded"
    digits = value.partition(":")[2] or value
    return digits if len(digits) <= SHORT_DIGEST_CHARACTERS else digits[:SHORT_DIGEST_CHARACTERS] + "…"


def read_time(value: Time) -> datetime:
    """The moment in UTC; text must be RFC 3339 or an ISO day."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_json(value: Any) -> str:
    """A value as indented JSON, for reading; the exact bytes live in the log entry."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
