"""The Jinja2 environment that pages and reports share: escaping, visible marks, and the way values are written."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from provenance.report.formats import (
    format_bytes,
    format_count,
    format_day,
    format_duration,
    format_json,
    format_number,
    format_share,
    format_time,
    shorten_digest,
)
from provenance.report.text import mark_plain, mark_text
from provenance.resources import find_resource


def finish_value(value: Any) -> Any:
    """What `{{ value }}` prints: absence is said, hostile characters are shown."""
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and not isinstance(value, Markup):
        return mark_plain(value)
    return value


def make_environment() -> Environment:
    """An environment over `web/templates` with the filters that every template may use."""
    environment = Environment(
        loader=FileSystemLoader(find_resource("web", "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finish_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        bytes=format_bytes, count_of=format_count, day=format_day, duration=format_duration, marked=mark_text,
        number=format_number, pretty=format_json, share=format_share, short=shorten_digest, time=format_time,
    )  # fmt: skip
    return environment
