"""Request bodies, read whole and bounded, so that routes stay plain functions."""

from __future__ import annotations

import zlib
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, model_validator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provenance.canonical import canonical_bytes, parse_json
from provenance.errors import FieldError, MalformedError


class BodyTooLargeError(MalformedError):
    """More bytes than the service takes at once."""

    code = "body-too-large"
    status = 413


class RequestBody(BaseModel):
    """A JSON body of known fields; no text in it holds what a log or a database cannot."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unfit(cls, data: Any) -> Any:
        return refuse_unfit(data)


def refuse_unfit(data: Any) -> Any:
    """The data, if a log and every database can hold it.

    Raises:
        MalformedError: it holds what has no canonical form (lone surrogates, integers beyond 2^53), or a null character.
    """
    if b"\\u0000" in canonical_bytes(data).replace(b"\\\\", b""):  # JSON writes the null character as an escape
        expected = "text without null characters"
        raise MalformedError(
            f"the body holds a null character; expected {expected}", FieldError("body", None, expected)
        )
    return data


class BodyLimit:
    """Stops reading a request after `limit` bytes, for the routes whose body the framework reads."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, counting what comes."""
        size = 0

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                # The framework turns other exceptions of a body into its own; this one reaches `api.errors`.
                raise HTTPException(413) from _too_large(self._limit)
            return message

        await self._app(scope, count if scope["type"] == "http" else receive, send)


async def read_body(request: Request) -> bytes:
    """The body, unpacked if it came as gzip.

    Raises:
        BodyTooLargeError: more than `PROVENANCE_MAX_BODY_BYTES`, packed or unpacked.
        MalformedError: a Content-Encoding other than gzip, or broken gzip.
    """
    limit: int = request.app.state.runtime.settings.max_body_bytes
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    body = b"".join(chunks)
    encoding = request.headers.get("content-encoding", "identity")
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise MalformedError("Content-Encoding: expected gzip", FieldError("Content-Encoding", encoding, "gzip"))
    return _unpack(body, limit)


def _unpack(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error as exc:
        raise MalformedError(f"the body is not gzip: {exc}", FieldError("body", body[:16], "gzip")) from exc
    if len(data) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise MalformedError(
            "the gzip body ends early", FieldError("body", f"{len(body)} bytes", "a whole gzip stream")
        )
    return data


def _too_large(limit: int) -> BodyTooLargeError:
    expected = f"at most {limit:,} bytes; send several requests"
    return BodyTooLargeError(f"the body is larger than {limit:,} bytes", FieldError("body", f"> {limit:,}", expected))


def read_json(body: Annotated[bytes, Depends(read_body)]) -> Any:
    """The body as JSON, strictly: no duplicate keys, no NaN, no integer beyond 2^53.

    Raises:
        MalformedError: it is not.
    """
    return parse_json(body)


def read_fit_json(value: Annotated[Any, Depends(read_json)]) -> Any:
    """The body as JSON that can be logged as it is; see `refuse_unfit`."""
    return refuse_unfit(value)
