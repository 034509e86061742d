"""The pages' Jinja2 environment: what a value looks like when it reaches the browser.

- Every printed value is escaped, and its control and bidirectional characters become visible marks.
- A value that is `None` prints as "not recorded"; an undeclared name is an error, never an empty string.
- No template writes a style, a script or an event attribute; `CONTENT_SECURITY_POLICY` forbids them too.

Order of use: `render_page(page, site, url)` with one of the pages of `provenance.api.views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment

from provenance.api.figures import (
    draw_comparisons,
    draw_composition,
    draw_growth,
    draw_inclusion,
    draw_loss,
    draw_verdicts,
)
from provenance.api.layers import draw_layers
from provenance.api.status import describe_status
from provenance.api.views.common import Page, Site
from provenance.report.environment import make_environment
from provenance.report.formats import format_number

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

NAVIGATION = (
    ("Samples", "/samples"),
    ("Sources", "/sources"),
    ("Policies", "/policies"),
    ("Releases", "/releases"),
    ("Training", "/runs"),
    ("Lineage", "/lineage"),
    ("Reports", "/reports"),
    ("Log", "/log"),
)

DISCLAIMER = "This is what the recorded rules say. It is not legal advice."


def quote_segment(value: str) -> str:
    """One path segment of a URL."""
    return quote(str(value), safe="@")


def quote_path(value: str) -> str:
    """A path of several segments, such as `provider/name`."""
    return quote(str(value), safe="@/")


def twin_url(url: str, extension: str) -> str:
    """The URL of a page's JSON or CSV twin: the same path with an extension, the same filters."""
    parts = urlsplit(url)
    path = "/index" if parts.path in ("", "/") else parts.path.rstrip("/")
    return f"{path}.{extension}" + (f"?{parts.query}" if parts.query else "")


def format_fact(value: Any) -> str:
    """A recorded fact for reading: lists by comma, fields by name, absence in words."""
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return format_number(value)
    if isinstance(value, Mapping):
        return (
            "; ".join(f"{str(name).replace('_', ' ')}: {format_fact(part)}" for name, part in value.items()) or "none"
        )
    if isinstance(value, list | tuple):
        return ", ".join(format_fact(part) for part in value) or "none"
    return str(value)


def format_measured(value: float) -> str:
    """A measured value with four digits that mean something, never in powers of ten where it is large."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else format_number(value)


@cache
def page_environment() -> Environment:
    """The environment of the pages, made once: the common filters, the pages' own, and the charts."""
    environment = make_environment()
    environment.filters.update(
        segment=quote_segment, path=quote_path, fact=format_fact, measured=format_measured, status=describe_status, twin=twin_url,
        comparison_chart=draw_comparisons, composition_chart=draw_composition, growth_chart=draw_growth,
        loss_chart=draw_loss, proof_chart=draw_inclusion, verdict_chart=draw_verdicts, layers_chart=draw_layers,
    )  # fmt: skip
    environment.globals.update(NAVIGATION=NAVIGATION, DISCLAIMER=DISCLAIMER)
    return environment


def render_page(page: Page, site: Site, url: str = "/") -> str:
    """One page as HTML; `url` is the path and query that was asked for, its twins are linked from it."""
    return page_environment().get_template(page.template).render(page=page, site=site, url=url)
