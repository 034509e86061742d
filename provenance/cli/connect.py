"""How a command reaches the service: over `PROVENANCE_URL`, or embedded on the local data directory.

Commands are written once, against the HTTP contract; embedded, the same application answers on a loopback port.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provenance.errors import UnavailableError

if TYPE_CHECKING:
    from provenance.client.client import Client
    from provenance.settings import Settings


def is_remote() -> bool:
    """Whether `PROVENANCE_URL` names a service."""
    return bool(os.environ.get("PROVENANCE_URL"))


@contextmanager
def open_client(*, as_person: bool = False) -> Iterator[Client]:
    """A client of the service that this command is about.

    Embedded it holds a passing token of the terminal's; `as_person` lets it speak with `PROVENANCE_TOKEN`, where that is set,
    for acts that must be somebody's in particular.

    Raises:
        UnavailableError: there is none and the server's packages are not installed.
    """
    from provenance.client.client import Client

    if is_remote():
        with Client() as client:
            yield client
        return
    from provenance.cli.service import local_service

    with local_service(local_settings()) as (url, token):
        own = os.environ.get("PROVENANCE_TOKEN") if as_person else None
        with Client(url, own or token, timeout_seconds=600.0) as client:
            yield client


def local_settings() -> Settings:
    """The settings of the local data directory.

    Raises:
        UnavailableError: the server's packages are not installed.
    """
    try:
        import fastapi  # noqa: F401 - asked for before anything is opened
        import sqlmodel  # noqa: F401 - the same

        from provenance.settings import load_settings
    except ImportError as exc:
        raise UnavailableError(
            f"without PROVENANCE_URL this command opens the local data directory, which needs {exc.name}: "
            "pip install 'provenance-ledger[server]'"
        ) from exc
    return load_settings()
