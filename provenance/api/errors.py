"""Our error tree as HTTP answers, once: problem details (RFC 9457) for programs, a page for people."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from starlette.exceptions import HTTPException

from provenance.api.pages import render_error_page
from provenance.errors import DeniedError, FieldError, MalformedError, ProvenanceError, UnavailableError

PROBLEM_TYPE = "https://provenance-ledger.dev/errors/"
MACHINE_PATHS = ("/api/", "/gateway/", "/otlp/", "/log/checkpoint", "/log/tile/", "/log/vkey", "/static/")
log = logging.getLogger("provenance.api")


def problem_body(exc: ProvenanceError) -> dict[str, Any]:
    """The problem-details body of one of our errors."""
    body: dict[str, Any] = {
        "type": PROBLEM_TYPE + exc.code,
        "title": exc.title,
        "status": exc.status,
        "detail": exc.detail,
        "code": exc.code,
        "errors": [error.to_json() for error in exc.errors],
    }
    if isinstance(exc, DeniedError) and exc.decision is not None:
        body["decision"] = exc.decision
    return body


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of a route an answer of this form."""
    answers: dict[type[Exception], Any] = {  # Starlette types a handler by the base of what it handles
        ProvenanceError: _answer_ours,
        RequestValidationError: _answer_validation,
        DataError: _answer_database,
        OperationalError: _answer_database,
        HTTPException: _answer_http,
        Exception: _answer_fault,
    }
    for kind, answer in answers.items():
        app.add_exception_handler(kind, answer)


def _answer_ours(request: Request, exc: ProvenanceError) -> Response:
    if exc.status >= 500:
        log.error("%s %s: %s: %s", request.method, request.url.path, exc.code, exc.detail)
    headers = {"WWW-Authenticate": "Bearer"} if exc.status == 401 else {}
    return _answer(request, problem_body(exc), headers)


def _answer_validation(request: Request, exc: RequestValidationError) -> Response:
    problems = [
        FieldError(".".join(str(part) for part in error["loc"][1:]) or "body", error.get("input"), error["msg"])
        for error in exc.errors()
    ]
    named = "; ".join(f"{problem.field}: {problem.expected}" for problem in problems)
    return _answer_ours(request, MalformedError(named, *problems))


def _answer_database(request: Request, exc: DBAPIError) -> Response:
    if isinstance(exc, DataError):
        expected = "values that the database can hold"
        return _answer_ours(request, MalformedError(f"expected {expected}", FieldError("request", None, expected)))
    log.error("%s %s: %s", request.method, request.url.path, exc)
    return _answer_ours(request, UnavailableError("the database did not answer; nothing was changed"))


def _answer_http(request: Request, exc: HTTPException) -> Response:
    if isinstance(exc.__cause__, ProvenanceError):
        return _answer_ours(request, exc.__cause__)
    codes = {404: "not-found", 405: "method-not-allowed"}
    code = codes.get(exc.status_code, "http-error")
    body = {
        "type": PROBLEM_TYPE + code,
        "title": str(exc.detail),
        "status": exc.status_code,
        "detail": f"{request.method} {request.url.path}: {exc.detail}",
        "code": code,
        "errors": [],
    }
    return _answer(request, body, dict(exc.headers or {}))


def _answer_fault(request: Request, exc: Exception) -> Response:
    request_id = secrets.token_hex(6)
    log.error("request %s: %s %s", request_id, request.method, request.url.path, exc_info=exc)
    return _answer_ours(request, ProvenanceError(f"a fault of ours, logged as request {request_id}"))


def _answer(request: Request, body: dict[str, Any], headers: dict[str, str]) -> Response:
    path = request.url.path
    machine = path.startswith(MACHINE_PATHS) or path.endswith((".json", ".csv"))
    if not machine and "text/html" in request.headers.get("accept", ""):
        return Response(
            render_error_page(request, body), status_code=body["status"], headers=headers, media_type="text/html"
        )
    return JSONResponse(body, body["status"], headers=headers, media_type="application/problem+json")
