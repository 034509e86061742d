"""A small teacher's server for tests, over real HTTP: each test says what it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.teacher.requests.append((self.path, dict(self.headers), body))
        try:
            self.teacher.answer(self, body)
        except BrokenPipeError:
            self.close_connection = True

    @property
    def teacher(self) -> Teacher:
        server = self.server
        assert isinstance(server, _Server)
        return server.teacher

    def send_json(self, value: Any, status: int = 200, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(data)

    def start_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def send_event(self, value: Any) -> None:
        data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Tests read what they need from `Teacher.requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    teacher: Teacher


class Teacher:
    """The running server: where it is, what it was asked, how it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answer: Answer = lambda handler, body: handler.send_json(completion())


def completion(*texts: str | None, **fields: Any) -> dict[str, Any]:
    """A chat completion with one choice for each text."""
    choices = [
        {"index": at, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for at, text in enumerate(texts or ("Four.",))
    ]
    return {
        "id": "chatcmpl-7", "object": "chat.completion", "created": 1, "model": "small-1-2026", "choices": choices,
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, "system_fingerprint": "fp_x", **fields,
    }  # fmt: skip


def chunk(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of a stream."""
    said = delta | ({"content": text} if text is not None else {})
    return {
        "id": "chatcmpl-8", "object": "chat.completion.chunk", "created": 1, "model": "small-1-2026",
        "choices": [{"index": 0, "delta": said, "finish_reason": finish}],
    }  # fmt: skip


@contextmanager
def run_teacher() -> Iterator[Teacher]:
    """A teacher on a free port."""
    server = _Server(("127.0.0.1", 0), Handler)
    server.teacher = Teacher(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.teacher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
