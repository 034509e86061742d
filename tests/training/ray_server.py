"""A small server that speaks the REST shapes of a Ray cluster, or whatever a test puts in their place."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

TOKEN = SecretStr("the-cluster's-token")
VERSION = {"version": "4", "ray_version": "2.60.0", "ray_commit": "b7f4259", "session_name": "s"}
USAGE = {"n1": {"CPU": [1.0, 8.0], "GPU": [0.0, 2.0], "memory": [0.0, 1e9]}, "n2": {"CPU": [0.0, 4.0]}}
STATUS = {"data": {"clusterStatus": {"loadMetricsReport": {"usageByNode": USAGE}}}}
JOB = {"submission_id": "run_1.1", "status": "RUNNING", "message": "Job is currently running.", "driver_exit_code": None,
       "driver_node_id": "n1"}  # fmt: skip
Answer = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]


class Server:
    """Answers `METHOD PATH` with what stands in `answers`; asks for the token unless it is bare."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Callable[[], Answer]] = {
            "GET /api/version": (200, json.dumps(VERSION).encode()),
            "GET /api/jobs/": (200, b"[]"),
            "GET /api/cluster_status": (200, json.dumps(STATUS).encode()),
            "GET /api/jobs/run_1.1": (200, json.dumps(JOB).encode()),
            "POST /api/jobs/run_1.1/stop": (200, b'{"stopped": true}'),
            "POST /api/jobs/": (200, b'{"submission_id": "run_1.1"}'),
        }
        self.bare = False
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                name = f"{self.command} {self.path}"
                outer.asked.append((name, dict(self.headers), self.rfile.read(length)))
                found = outer.answers.get(name, (404, b"Job does not exist"))
                if not outer.bare and self.headers.get("Authorization") != f"Bearer {TOKEN.get_secret_value()}":
                    missing = "Authorization" not in self.headers
                    found = (401, b"Missing authentication token") if missing else (403, b"Invalid token")
                status, body, *more = found() if callable(found) else found
                self.send_response(status)
                for key, value in more[0].items() if more else ():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer  # noqa: N815  # the library's names

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gives up is meant
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
