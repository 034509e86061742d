"""The fixtures of `tests/store/logs.py`, for the tests of this folder."""

from tests.store.logs import catalogue, log, sqlite_log

__all__ = ["catalogue", "log", "sqlite_log"]
