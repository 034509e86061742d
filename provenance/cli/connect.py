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
def open_client(*, own_token: bool = False) -> Iterator[Client]:
    """A client of the service that this command is about.

    Embedded, whoever sits at the terminal gets a token of its own; with `own_token`, `PROVENANCE_TOKEN` is shown instead where
    it is set, for what asks who a person is.

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
        shown = (own_token and os.environ.get("PROVENANCE_TOKEN")) or token
        with Client(url, shown, timeout_seconds=600.0) as client:
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
