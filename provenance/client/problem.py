"""Problem details (RFC 9457) back into our error tree, so that a caller sees the same errors near and far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from provenance import errors
from provenance.errors import DeniedError, FieldError, MalformedError, NotFoundError, ProvenanceError, UnavailableError

_BY_STATUS: dict[int, type[ProvenanceError]] = {
    401: errors.AuthenticationError,
    403: errors.ForbiddenError,
    404: NotFoundError,
    409: errors.ConflictError,
    413: MalformedError,
    422: MalformedError,
    429: UnavailableError,
}


def error_of(response: httpx.Response) -> ProvenanceError:
    """The error that an answer of 400 or more stands for."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("code"), str):
        text = response.text[:200]
        kind = _BY_STATUS.get(response.status_code) or (
            MalformedError if response.status_code < 500 else UnavailableError
        )
        return kind(f"{response.request.method} {response.request.url}: {response.status_code} {text}")
    return restore(body, response.status_code)


def restore(body: Mapping[str, Any], status: int = 500) -> ProvenanceError:
    """The error that a problem body describes; an unknown code becomes the kind that the status stands for."""
    code, detail = body["code"], str(body.get("detail") or body.get("title") or body["code"])
    if isinstance(body.get("decision"), dict) or body.get("title") == DeniedError.title:
        return DeniedError(detail, body.get("decision"), code=code)
    known = {kind.code: kind for kind in _all_kinds(ProvenanceError)}
    kind = known.get(code) or _BY_STATUS.get(status) or (MalformedError if status < 500 else ProvenanceError)
    if kind is DeniedError:
        return DeniedError(detail, code=code)
    error = kind(detail, *map(_field, body.get("errors") or []))
    if error.code != code:
        error.code = code  # type: ignore[misc]  # the service may have a narrower slug than its class here
    return error


def _field(item: dict[str, Any]) -> FieldError:
    return FieldError(str(item.get("field")), item.get("value"), str(item.get("expected")), item.get("line"))


def _all_kinds(kind: type[ProvenanceError]) -> Iterator[type[ProvenanceError]]:
    yield kind
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from _all_kinds(inner)
