"""A local S3 server as a process of its own (moto), and a proxy before it that fails, stalls or counts."""

from __future__ import annotations

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from obstore.store import S3Store

BUCKET = "ledger"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of a fresh S3 server."""
    assert importlib.util.find_spec("moto") is not None, "moto is missing: make setup"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        _await(url)
        yield url
    finally:
        process.kill()
        process.wait()


def _await(url: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            httpx.get(url, timeout=5)
        except httpx.HTTPError:
            assert time.monotonic() < end, "the S3 server does not answer"
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket on it, and the environment to reach it."""
    httpx.post(f"{s3_server}/moto-api/reset").raise_for_status()
    httpx.put(f"{s3_server}/{BUCKET}").raise_for_status()
    for name, value in aws_environment(s3_server).items():
        monkeypatch.setenv(name, value)
    return Bucket(s3_server)


def aws_environment(endpoint: str) -> dict[str, str]:
    """What finds the server and opens it."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests",
        "AWS_REGION": "us-east-1",
    }


class Bucket:
    """What a reader with a signed address sees of a bucket, by plain HTTP."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.url = f"s3://{BUCKET}/log"
        self._store = S3Store.from_url(self.url, endpoint=server, client_options={"allow_http": True})

    def get(self, name: str) -> httpx.Response:
        """One object."""
        return httpx.get(obstore.sign(self._store, "GET", name, timedelta(minutes=5)))

    def put(self, name: str, data: bytes) -> None:
        """What somebody else might do."""
        httpx.put(obstore.sign(self._store, "PUT", name, timedelta(minutes=5)), content=data).raise_for_status()

    def download(self, folder: Path) -> Path:
        """The whole bucket as files."""
        for page in obstore.list(self._store):
            for item in page:
                path = folder / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.get(item["path"]).raise_for_status().content)
        return folder


Fault = Callable[[str, str, int], int | None]


class Proxy:
    """Passes requests on to the server; `fault(method, path, n)` may answer the n-th with a status, or sleep, in its place."""

    def __init__(self, server: str, fault: Fault) -> None:
        self.seen: list[tuple[str, str]] = []
        self.fault, self._lock, self._swap = fault, threading.Lock(), threading.Lock()
        self._server = httpx.URL(server)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                outer._answer(self)

            do_GET = do_PUT = do_HEAD = _pass  # noqa: N815 - the names that http.server calls

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            self.seen.append((request.command, request.path))
            number = len(self.seen)
        status = self.fault(request.command, request.path, number)
        if status is not None:
            request.send_response(status)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        connection = http.client.HTTPConnection(self._server.host, self._server.port or 80, timeout=30)
        is_swap = request.command == "PUT" and request.path.endswith("/checkpoint")
        with self._swap if is_swap else nullcontext():  # moto compares and writes in two steps, S3 in one
            connection.request(request.command, request.path, body, dict(request.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length", "date", "server"}:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
        connection.close()

    @property
    def written(self) -> list[str]:
        """The objects that were to be written, in order."""
        return [path.partition("/log/")[2] for method, path in self.seen if method == "PUT"]

    def close(self) -> None:
        """Answer nobody any more."""
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def proxied(server: str, fault: Fault = lambda *_: None) -> Iterator[Proxy]:
    """A proxy, and the environment pointed at it."""
    proxy, before = Proxy(server, fault), os.environ["AWS_ENDPOINT_URL"]
    os.environ["AWS_ENDPOINT_URL"] = proxy.url
    try:
        yield proxy
    finally:
        os.environ["AWS_ENDPOINT_URL"] = before
        proxy.close()
