"""An OpenLineage endpoint for tests: it checks each event by the official schemas and answers as the API says.

Marquez, which others run, is a Java service; this one holds no graph, but takes nothing that the standard would not.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from tests.export.openlineage import errors_in

PATH = "/api/v1/lineage"


class Endpoint(HTTPServer):
    """`POST /api/v1/lineage`: 201 for an event, 401 without the key, 422 for what is none, `status` where it is set."""

    allow_reuse_address = True

    def __init__(self, *, port: int = 0, key: str | None = None, refuse: str | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.key, self.refuse = key, refuse
        self.status: int | None = None
        self.events: list[dict[str, Any]] = []
        self.refused: list[list[str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}{PATH}"

    def answer(self, path: str, authorization: str | None, data: bytes) -> tuple[int, list[str]]:
        """The status for a request, and what is wrong with it."""
        if self.status is not None:
            return self.status, ["not now"]
        if path != PATH:
            return 404, [path]
        if self.key is not None and authorization != f"Bearer {self.key}":
            return 401, ["the key"]
        event = json.loads(data)
        wrong = errors_in(event)
        if self.refuse is not None and self.refuse in str(event.get("job", {}).get("name")):
            wrong = ["not this one"]
        if wrong:
            self.refused.append(wrong)
            return 422, wrong
        self.events.append(event)
        return 201, []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Endpoint)
        data = self.rfile.read(int(self.headers["content-length"]))
        status, wrong = self.server.answer(self.path, self.headers["authorization"], data)
        body = json.dumps(wrong).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def open_endpoint(**options: Any) -> Iterator[Endpoint]:
    """An endpoint that listens."""
    with Endpoint(**options) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield endpoint
        endpoint.shutdown()
        thread.join()
