"""Rows of samples, written by the driver itself: for a thousand at a time SQLAlchemy costs more than the database does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

Row = tuple[int, int, int, int, str, int, str | None]  # in the order of `_NAMES`

_NAMES = '"index", batch_index, dataset_id, fact_class_id, generated_at, tokens, external_id'
_COPY = f"COPY sample ({_NAMES}) FROM STDIN"  # as text: in binary the driver would cut a number that is too great
_INSERT = f"INSERT INTO sample ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names


def insert_samples(session: Session, rows: Sequence[Row]) -> None:
    """Add rows of `SampleRow`, in the session's transaction.

    Raises:
        DBAPIError: the database did not take them.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        _copy(connection.connection.cursor(), rows)
    else:
        connection.exec_driver_sql(_INSERT, list(rows))


def _copy(opened: Any, rows: Sequence[Row]) -> None:
    try:
        with opened as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as exc:
        # As SQLAlchemy would raise it, so that callers need to know of no driver.
        raise DBAPIError.instance("COPY sample", None, exc, psycopg.Error) from exc
