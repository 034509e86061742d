"""A witness over HTTP: `POST /add-checkpoint`, `GET /<origin hash>/checkpoint`, its verifier keys, and whether it lives.

Nobody is asked who he is: what counts is the signature on the checkpoint. So every request is hostile: a body has a
greatest size and a greatest time, and nothing of it is looked at before both have held.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from provenance.errors import ProvenanceError
from provenance.ledger.note import format_vkey
from provenance.ledger.witness.answer import Answer, Witness, add_checkpoint, show_checkpoint
from provenance.ledger.witness.request import MAX_REQUEST_BYTES, PATH

BODY_SECONDS = 10.0
KEEP_SECONDS = 75  # a log that asks again soon finds its connection open
MAX_CONNECTIONS = 256
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_log = logging.getLogger(__name__)


def make_app(witness: Witness) -> Starlette:
    """The application of `witness`."""

    async def add(request: Request) -> Response:
        body = await _read_body(request)
        return _respond(body if isinstance(body, Answer) else await _act(lambda: add_checkpoint(witness, body)))

    async def show(request: Request) -> Response:
        return _respond(await _act(lambda: show_checkpoint(witness, request.path_params["origin_hash"])))

    async def keys(_: Request) -> Response:
        return _respond(Answer(200, "".join(f"{format_vkey(vkey)}\n" for vkey in witness.keys.vkeys)))

    async def health(_: Request) -> Response:
        return _respond(Answer(200, "ok\n"))

    return Starlette(
        routes=[
            Route(PATH, add, methods=["POST"]),
            Route("/vkey", keys),
            Route("/healthz", health),
            Route("/{origin_hash}/checkpoint", show),
        ]
    )


def run_witness(witness: Witness, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Answer on `listener` until the process is told to stop; `announce` is called once it does."""

    class Announcing(uvicorn.Server):
        """Says that it answers, once it does."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                announce()

    config = uvicorn.Config(
        make_app(witness), log_config=None, access_log=False, lifespan="off", http="h11", ws="none",
        limit_concurrency=MAX_CONNECTIONS, timeout_graceful_shutdown=10, timeout_keep_alive=KEEP_SECONDS, server_header=False,
    )  # fmt: skip
    Announcing(config).run(sockets=[listener])


async def _read_body(request: Request) -> bytes | Answer:
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_REQUEST_BYTES:
                    return Answer(413, f"a request has at most {MAX_REQUEST_BYTES} bytes\n")
    except TimeoutError:
        return Answer(408, f"the request did not come within {BODY_SECONDS:.0f} seconds\n")
    except ClientDisconnect:
        return Answer(400, "the request is not whole\n")
    return body


async def _act(act: Callable[[], Answer]) -> Answer:
    """Off the loop: it waits for the disk. Nothing was signed where it fails."""
    try:
        return await run_in_threadpool(act)
    except ProvenanceError as exc:
        _log.error("no answer: %s", exc.detail)
        return Answer(503, "the witness cannot answer now\n")


def _respond(answer: Answer) -> Response:
    # The type as a header of its own: Starlette would add a charset to `text/x.tlog.size`.
    close = {"Connection": "close"} if answer.status in (408, 413) else {}
    return Response(answer.body, answer.status, headers={"Content-Type": answer.content_type, **HEADERS, **close})
