"""The HTTP server of one process, as `provenance serve` runs it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn

LISTEN_BACKLOG = 2048
GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, is_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._is_up = is_up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._is_up()


def make_server(app: Any, is_up: Callable[[], None], *, backlog: int = LISTEN_BACKLOG) -> Server:
    """A server for `app` that calls `is_up` once it answers."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=GRACE_SECONDS, backlog=backlog
    )
    return Server(config, is_up)
