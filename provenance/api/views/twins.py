"""The JSON and CSV twins of a page: the same view, so that the three forms cannot disagree."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson

from provenance.api.views.common import Page

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def page_json(page: Page) -> bytes:
    """The whole view as JSON."""
    return orjson.dumps(page, default=str)


def page_csv(page: Page) -> str:
    """The page's rows as CSV, one column a field; a page without rows gives its fields as name and value."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    if page.rows_field is None:
        writer.writerow(["field", "value"])
        writer.writerows([item.name, format_cell(getattr(page, item.name))] for item in fields(page))
        return buffer.getvalue()
    rows = getattr(page, page.rows_field)
    if rows:
        names = [item.name for item in fields(rows[0])]
        writer.writerow(names)
        writer.writerows([format_cell(getattr(row, name)) for name in names] for row in rows)
    return buffer.getvalue()


def format_cell(value: Any) -> str:
    """One cell: exact numbers, structured values as JSON, and nothing that a spreadsheet would run."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA_STARTS) else value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return format_cell(" ".join(value))
    return orjson.dumps(value, default=str).decode()
