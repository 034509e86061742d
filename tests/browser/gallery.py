"""Serves the example pages with the product's own security header: `python -m tests.browser.gallery [PORT]` to look at them.

The sample page comes with real evidence out of a small log, true (`sample`), altered (`sample-altered`: one byte of the
record), and of another sample (`sample-other`).
"""

from __future__ import annotations

import base64
import json
import mimetypes
import sys
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from provenance.api.rendering import CONTENT_SECURITY_POLICY, render_page
from provenance.api.views.samples import SamplePage
from provenance.resources import find_resource
from tests.api.example_values import SITE
from tests.api.examples import EXAMPLES
from tests.evidence_factory import Log

SAMPLE_INDEX = 137
ENTRIES_BEFORE = 132  # with three keys the samples are entries 135 to 139
EVENT = {"event": "step", "step": 318, "total": 600, "loss": 2.11, "tokens_per_second": 1790.4, "eta_seconds": 128.0}


@cache
def sample_log() -> Log:
    """A log whose third sample is entry 137."""
    log = Log()
    log.say_keys()
    for number in range(ENTRIES_BEFORE):
        log.say("access", {"actor": "a", "act": "read", "target": str(number)}, "authority")
    log.say_samples()
    return log


def sample_evidence(kind: str) -> dict[str, Any]:
    """The evidence that `verify.js` reads."""
    if kind == "other":
        return sample_log().evidence(1)
    evidence = sample_log().evidence(2)
    if kind == "altered":
        entry = base64.b64decode(evidence["entry"]).replace(b'"dataset":"math"', b'"dataset":"myth"')
        evidence["entry"] = base64.b64encode(entry).decode()
    return evidence


def render_example(name: str) -> str | None:
    """The example of this name as HTML; None if there is none."""
    base, _, kind = name.partition("-")
    example = EXAMPLES.get(name) or (EXAMPLES.get(base) if base == "sample" else None)
    if example is None:
        return None
    url, page = example
    if isinstance(page, SamplePage):
        vkey = sample_log().vkeys()[0]
        page = replace(page, evidence_url=f"/evidence/{kind or 'true'}", log_vkey=vkey)
    return render_page(page, SITE, url)


class GalleryHandler(BaseHTTPRequestHandler):
    """`/gallery/<name>` is an example, `/static/…` a file of `web/static`."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/gallery/") and (html := render_example(path.removeprefix("/gallery/"))):
            self._answer(200, "text/html; charset=utf-8", html.encode())
        elif path.startswith("/evidence/"):
            self._answer(200, "application/json", json.dumps(sample_evidence(path.removeprefix("/evidence/"))).encode())
        elif path.startswith("/static/") and ".." not in path:
            file = find_resource("web", "static") / path.removeprefix("/static/")
            kind = "text/javascript" if file.suffix == ".js" else mimetypes.guess_type(file.name)[0]
            self._answer(200, kind or "application/octet-stream", file.read_bytes())
        elif path.endswith("/events"):
            self._answer(200, "text/event-stream", f"data: {json.dumps(EVENT)}\n\n".encode())
        else:
            self._answer(404, "text/plain", b"")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests speak for themselves."""


def serve_gallery(port: int = 0) -> ThreadingHTTPServer:
    """A server on loopback, bound but not yet serving."""
    return ThreadingHTTPServer(("127.0.0.1", port), GalleryHandler)


if __name__ == "__main__":
    server = serve_gallery(int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    print(f"http://127.0.0.1:{server.server_address[1]}/gallery/overview")
    server.serve_forever()
