"""Makes the application: opens the runtime, launches the jobs, mounts routes and static files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provenance import __version__
from provenance.api.body import BodyLimit
from provenance.api.errors import add_error_handlers
from provenance.api.rendering import CONTENT_SECURITY_POLICY
from provenance.api.routes import all_routers
from provenance.jobs.engine import engine
from provenance.jobs.start import start_jobs
from provenance.resources import find_resource
from provenance.runtime import Runtime

REQUEST_THREADS = 100  # a gateway request waits for its teacher in a thread; the writer is one thread anyway
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(runtime: Runtime, *, runs_jobs: bool = True) -> FastAPI:
    """The application over an open runtime; closing it closes the runtime too.

    With `runs_jobs` false, another process of the service runs them.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = REQUEST_THREADS
        courier = await run_in_threadpool(start_jobs, runtime) if runs_jobs else None
        if not runs_jobs:
            engine.launch_elsewhere()
        yield
        if courier is not None:
            await run_in_threadpool(courier.close)
        await run_in_threadpool(engine.close)
        await run_in_threadpool(runtime.close)

    app = FastAPI(
        title="Provenance",
        version=__version__,
        description="Signed provenance, licence policy and audit reports for model distillation.",
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.runtime = runtime
    add_error_handlers(app)
    app.add_middleware(BodyLimit, limit=runtime.settings.max_body_bytes if runtime else 0)
    app.add_middleware(SecurityHeaders)
    app.mount("/static", StaticFiles(directory=find_resource("web", "static")), name="static")
    for router in all_routers():
        app.include_router(router)
    return app


class SecurityHeaders:
    """Sets `SECURITY_HEADERS` where a response does not; as plain ASGI, which passes bodies on without a task for each."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and add to what begins a response."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, add)
