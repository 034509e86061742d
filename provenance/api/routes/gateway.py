"""The gateway's two routes, as OpenAI-compatible clients call them; errors have OpenAI's shape here."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from provenance.api.body import read_body
from provenance.api.deps import RuntimeDep, check_writer, find_actor
from provenance.capture.gateway import AnswerStream, Gateway, error_body
from provenance.capture.upstream import FILE_NAME
from provenance.errors import ProvenanceError
from provenance.runtime import Runtime

_making = threading.Lock()


class _OpenAIRoute(APIRoute):
    """A route whose errors are what OpenAI's clients expect."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except ProvenanceError as exc:
                headers = {"WWW-Authenticate": "Bearer"} if exc.status == 401 else {}
                return JSONResponse(error_body(exc), exc.status, headers=headers)

        return answer


@asynccontextmanager
async def _close_connections(app: FastAPI) -> AsyncIterator[None]:
    yield
    gateway: Gateway | None = getattr(app.state, "gateway", None)
    if gateway is not None:
        gateway.close()
        del app.state.gateway


router = APIRouter(prefix="/gateway/v1", tags=["gateway"], route_class=_OpenAIRoute, lifespan=_close_connections)


def get_gateway(request: Request, runtime: RuntimeDep) -> Gateway:
    """The gateway of this application, made at its first request."""
    state = request.app.state
    with _making:
        if not hasattr(state, "gateway"):
            settings = runtime.settings
            state.gateway = Gateway(
                path=settings.data_dir / FILE_NAME,
                record=partial(runtime.recorder.record, source="gateway"),
                clock=runtime.clock,
                timeout_seconds=settings.gateway_timeout_seconds,
                max_answer_bytes=settings.max_body_bytes,
            )
        gateway: Gateway = state.gateway
        return gateway


GatewayDep = Annotated[Gateway, Depends(get_gateway)]


@router.post("/chat/completions", response_model=None)
def post_chat_completion(
    request: Request, runtime: RuntimeDep, gateway: GatewayDep, body: Annotated[bytes, Depends(read_body)]
) -> Response:
    """Ask a teacher and record its answer. `Provenance-Dataset` names the dataset; the answer's headers name the entry."""
    _authorise(request, runtime)
    asked = gateway.prepare(body, request.headers)
    answer = gateway.stream(asked) if asked.stream else gateway.complete(asked)
    if isinstance(answer, AnswerStream):
        return _Streaming(answer)
    return Response(answer.body, answer.status, headers=dict(answer.headers), media_type="application/json")


@router.get("/models")
def list_models(request: Request, runtime: RuntimeDep, gateway: GatewayDep) -> dict[str, Any]:
    """The models that the gateway may be asked for."""
    _authorise(request, runtime)
    models = [
        {"id": name, "object": "model", "created": 0, "owned_by": upstream.teacher.provider}
        for name, upstream in sorted(gateway.upstreams().items())
    ]
    return {"object": "list", "data": models}


def _authorise(request: Request, runtime: Runtime) -> None:
    check_writer(find_actor(request, runtime)).require("capture")


class _Streaming(StreamingResponse):
    """A stream that is closed, hence recorded, whichever way it ends."""

    def __init__(self, stream: AnswerStream) -> None:
        super().__init__(iter(stream), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(self._stream.close)
