"""The OpenAI-compatible HTTP face of one local model: `GET /v1/models`, `POST /v1/chat/completions`.

- What would change the meaning of an answer and is not done here (tools, logprobs, several choices) is refused, never ignored.
- `system_fingerprint` names engine, version, dtype and weights, so a record of the answer says what made it.
- Special tokens inside a message are refused: text must not be able to open a turn of its own.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import transformers
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from provenance.training.batching import Batcher, Done, Failed, Job
from provenance.training.generate import Sampling

UNSUPPORTED = ("tools", "functions", "logprobs", "top_logprobs", "response_format", "logit_bias", "audio", "modalities")
DEFAULT_MAX_TOKENS = 128


class TextPart(BaseModel):
    """One text piece of a message; other kinds of pieces are refused."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def to_plain(self) -> dict[str, str]:
        """Role and text as the chat template reads them."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatRequest(BaseModel):
    """The body of a chat completion request; fields that this server does not know are looked at in `UNSUPPORTED`."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = None
    stream: bool = False
    n: int | None = None


class RequestRefused(Exception):  # noqa: N818  # it becomes an OpenAI error body, not one of our own errors
    """A request that this server will not answer, in the words of the OpenAI error body."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status


@dataclass(frozen=True)
class Served:
    """The model that is served, and what its answers say about it."""

    name: str
    model: Any
    tokenizer: Any
    weights_digest: str
    context_tokens: int
    created: int

    @property
    def fingerprint(self) -> str:
        """Engine, versions, dtype and weights in one word."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        short = self.weights_digest.removeprefix("sha256:")[:12]
        return f"transformers-{transformers.__version__}_torch-{torch.__version__}_{dtype}_{short}"


def error_body(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> JSONResponse:
    """The OpenAI form of an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status_code=status)


def prepare(served: Served, body: ChatRequest) -> Job:
    """Check a request and turn it into a job for the queue."""
    if body.model != served.name:
        raise RequestRefused(
            f"The model '{body.model}' does not exist; this server has '{served.name}'",
            param="model",
            code="model_not_found",
            status=404,
        )
    for name in UNSUPPORTED:
        if (body.model_extra or {}).get(name):
            raise RequestRefused(f"'{name}' is not supported by this server", param=name, code="unsupported_parameter")
    if body.n not in {None, 1}:
        raise RequestRefused(f"'n' must be 1, got {body.n}", param="n", code="unsupported_parameter")
    ids = encode(served, [message.to_plain() for message in body.messages])
    wanted = body.max_completion_tokens or body.max_tokens or DEFAULT_MAX_TOKENS
    if len(ids) + wanted > served.context_tokens:
        raise RequestRefused(
            f"This model's context is {served.context_tokens} tokens; the messages have {len(ids)} and the completion may "
            f"have {wanted}: shorten one of them",
            param="messages",
            code="context_length_exceeded",
        )
    sampling = Sampling(
        max_tokens=wanted,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=parse_stop(body.stop),
    )
    ends = served.tokenizer.eos_token_id
    return Job(ids, sampling, served.tokenizer, frozenset({ends}))


def parse_stop(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """At most four non-empty stop strings, as OpenAI takes them."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > 4 or any(not item for item in stops):
        raise RequestRefused(f"'stop' must be at most four non-empty strings, got {list(stops)!r}", param="stop")
    return stops


def encode(served: Served, messages: list[dict[str, str]]) -> list[int]:
    """Token ids of the messages in the model's chat template, ready for the assistant's turn."""
    special = served.tokenizer.all_special_tokens
    # A character is at least one byte of at most one token, so a text this long cannot fit: do not even tokenise it.
    if sum(len(message["content"]) for message in messages) > served.context_tokens * 64:
        raise RequestRefused("The messages are too long", param="messages", code="context_length_exceeded")
    for place, message in enumerate(messages):
        if not message["content"].strip():
            raise RequestRefused("The content is empty", param=f"messages[{place}].content", code="empty_content")
        for token in special:
            if token in message["content"]:
                raise RequestRefused(
                    f"The content holds the special token {token!r}",
                    param=f"messages[{place}].content",
                    code="special_token",
                )
    encoded = served.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    return list(encoded["input_ids"])


def make_app(served: Served, batcher: Batcher) -> FastAPI:
    """The application: two routes and the error bodies."""
    app = FastAPI(title="provenance local teacher", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(RequestRefused)
    def refused(request: Request, exc: RequestRefused) -> Response:  # noqa: ARG001  # the handler's signature
        return error_body(exc.message, param=exc.param, code=exc.code, status=exc.status)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, exc: RequestValidationError) -> Response:  # noqa: ARG001  # the handler's signature
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return error_body(f"{where or 'body'}: {first['msg']}", param=where or None, code="invalid_value")

    @app.exception_handler(HTTPException)
    def no_route(request: Request, exc: HTTPException) -> Response:
        return error_body(f"{request.method} {request.url.path}: {exc.detail}", status=exc.status_code)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        entry = {"id": served.name, "object": "model", "created": served.created, "owned_by": "local"}
        extra = {"weights_digest": served.weights_digest, "system_fingerprint": served.fingerprint}
        return {"object": "list", "data": [entry | extra]}

    @app.post("/v1/chat/completions")
    def complete(body: ChatRequest) -> Response:
        job = prepare(served, body)
        batcher.submit(job)
        if body.stream:
            return StreamingResponse(stream_events(served, job), media_type="text/event-stream")
        return JSONResponse(whole_answer(served, job))

    return app


def whole_answer(served: Served, job: Job) -> dict[str, Any]:
    """The one answer of a request that does not stream."""
    events = list(job.read())
    end = events[-1]
    if isinstance(end, Failed):
        raise RequestRefused(f"The model failed: {end.detail}", code="model_failed", status=500)
    text = "".join(event for event in events if isinstance(event, str))
    reason = end.finish_reason if isinstance(end, Done) else "stop"
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": reason,
        "logprobs": None,
    }
    return _frame(served, "chat.completion") | {"choices": [choice], "usage": count_usage(job)}


def count_usage(job: Job) -> dict[str, int]:
    """Tokens read and written."""
    read, written = len(job.prompt), len(job.tokens)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def stream_events(served: Served, job: Job) -> Iterator[str]:
    """Server-sent events of a streamed answer; a reader that goes away cancels its job."""
    frame = _frame(served, "chat.completion.chunk")

    def chunk(delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return f"data: {json.dumps(frame | {'choices': [choice]}, ensure_ascii=False)}\n\n"

    try:
        yield chunk({"role": "assistant", "content": ""})
        for event in job.read():
            if isinstance(event, str):
                yield chunk({"content": event})
            elif isinstance(event, Failed):
                failure = {
                    "error": {"message": event.detail, "type": "server_error", "param": None, "code": "model_failed"}
                }
                yield f"data: {json.dumps(failure)}\n\n"
            else:
                yield chunk({}, event.finish_reason)
                yield f"data: {json.dumps(frame | {'choices': [], 'usage': count_usage(job)})}\n\n"
        yield "data: [DONE]\n\n"
    finally:
        job.cancel()


def _frame(served: Served, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": served.name,
        "system_fingerprint": served.fingerprint,
    }
