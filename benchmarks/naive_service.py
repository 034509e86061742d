"""The straightforward service over HTTP: one process, `benchmarks.naive` behind one route.

Run as `python -m benchmarks.naive_service PORT FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request

from benchmarks.naive import open_naive, record_naively


async def _read(request: Request) -> bytes:
    return await request.body()


def make_naive_app(folder: Path) -> FastAPI:
    """An application that records NDJSON batches, durable before it answers."""
    app, engine = FastAPI(), open_naive(folder)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/api/v1/samples", status_code=201)
    def record(body: Annotated[bytes, Depends(_read)]) -> dict[str, Any]:
        record_naively(engine, body)
        return {"count": body.count(b"\n") + 1}

    return app


if __name__ == "__main__":
    uvicorn.run(make_naive_app(Path(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
