"""The recording gateway: ask the teacher, record what it answered, and only then hand it on.

- Nobody gets a finished answer that is not in the log: a plain answer waits for its entry, a stream holds back its end.
- What a broken or abandoned stream had brought is recorded too, with the finish reason `interrupted`.
- A refusal or fault of the upstream passes through with its status and is no sample.
- The client's token never leaves; the address comes from `gateway.yaml` alone, and redirects are not followed.

Order of use: `Gateway.prepare` -> `Gateway.complete` or `Gateway.stream`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
import orjson

from provenance import __version__
from provenance.canonical import parse_json
from provenance.capture.chat import ChatRequest, Completion, make_samples, parse_body, parse_completion, prepare_request
from provenance.capture.chunks import DONE, Accumulator, iterate_events
from provenance.capture.sample import Sample
from provenance.capture.upstream import Upstream, get_upstream, load_upstreams
from provenance.errors import FatalError, MalformedError, ProvenanceError, UnavailableError
from provenance.ledger.append import Receipt

MAX_CONNECTIONS = 256
CONNECT_SECONDS = 10.0
PASSED_HEADERS = ("retry-after", "x-request-id")
Record = Callable[[Sequence[Sample]], Receipt]


class UpstreamError(UnavailableError):
    """The teacher's server could not be reached, or did not answer as one does."""

    code = "upstream-failed"
    status: ClassVar[int] = 502


class UpstreamTimeoutError(UpstreamError):
    """The teacher's server did not answer in time."""

    code = "upstream-timeout"
    status = 504


class NotRecordedError(UnavailableError):
    """The answer came, but could not be recorded; it is not handed on."""

    code = "not-recorded"


class EmptyCompletionError(MalformedError):
    """The teacher answered without any text, so there is no sample."""

    code = "empty-completion"


@dataclass(frozen=True)
class Answer:
    """A whole answer for the client."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Gateway:
    """The connection pool, and the file of upstreams as it stands now."""

    path: Path
    record: Record
    clock: Callable[[], datetime]
    timeout_seconds: float
    max_answer_bytes: int
    _client: httpx.Client | None = None
    _known: tuple[tuple[int, int] | None, dict[str, Upstream]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def upstreams(self) -> dict[str, Upstream]:
        """The upstreams by model name; the file is read again when it changed.

        Raises:
            MalformedError: the file is malformed.
        """
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = None
        with self._lock:
            if self._known is None or self._known[0] != stamp:
                self._known = (stamp, load_upstreams(self.path, now=self.clock()))
            return self._known[1]

    def prepare(self, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
        """Check a request before the teacher is asked; `headers` are the client's, names in lower case.

        Raises:
            MalformedError: what cannot be recorded is not asked.
            NotFoundError: no upstream has the model's name.
        """
        value = parse_body(body)
        upstream = get_upstream(self.upstreams(), value["model"], self.path)
        return prepare_request(value, upstream, headers, now=self.clock())

    def complete(self, request: ChatRequest) -> Answer:
        """Ask for a plain answer and record it.

        Raises:
            UpstreamError: no answer, or none that is a chat completion.
            NotRecordedError: the answer is not in the log.
        """
        with self._ask(request) as response:
            data = self._read(response)
        if response.status_code != httpx.codes.OK:
            return _refusal(response, data)
        try:
            completion = parse_completion(data)
        except MalformedError as exc:
            raise UpstreamError(exc.detail) from exc
        receipt, count = self.keep(request, completion)
        indices = range(receipt.first_index, receipt.first_index + count)
        headers = {"Provenance-Index": ",".join(map(str, indices)), "Provenance-Tree-Size": str(receipt.tree_size)}
        return Answer(200, data, headers)

    def stream(self, request: ChatRequest) -> Answer | AnswerStream:
        """Ask for a stream; a refusal is a plain answer. Whoever takes the stream closes it.

        Raises:
            UpstreamError: no answer, or none that is a stream.
        """
        with contextlib.ExitStack() as stack:
            response = stack.enter_context(self._ask(request))
            if response.status_code != httpx.codes.OK:
                return _refusal(response, self._read(response))
            kind = response.headers.get("content-type", "nothing")
            if not kind.startswith("text/event-stream"):
                raise UpstreamError(f"the upstream answered a stream with {kind:.80}; expected text/event-stream")
            return AnswerStream(self, request, response, stack.pop_all())

    def keep(self, request: ChatRequest, completion: Completion) -> tuple[Receipt, int]:
        """Record what an upstream answered; the receipt, and how many samples it made.

        Raises:
            EmptyCompletionError: there is no text in it.
            NotRecordedError: the log did not take it.
        """
        try:
            samples = make_samples(request, completion, now=self.clock())
            receipt = self.record(samples) if samples else None
        except FatalError:
            raise
        except ProvenanceError as exc:
            raise NotRecordedError(f"the answer could not be recorded and is not handed on: {exc.detail}") from exc
        if receipt is None:
            raise EmptyCompletionError("the teacher answered without any text; nothing was recorded")
        return receipt, len(samples)

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    @contextlib.contextmanager
    def _ask(self, request: ChatRequest) -> Iterator[httpx.Response]:
        key = request.upstream.read_key()
        headers = {"Content-Type": "application/json", "User-Agent": f"provenance-gateway/{__version__}"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if request.stream:
            headers["Accept-Encoding"] = "identity"  # a packed stream would come in lumps
        body = orjson.dumps(dict(request.body))
        try:
            with self._pool().stream("POST", request.upstream.url, content=body, headers=headers) as response:
                yield response
        except httpx.TimeoutException as exc:
            raise UpstreamTimeoutError(f"the upstream of {request.upstream.model!r} did not answer in time") from exc
        except httpx.HTTPError as exc:
            raise UpstreamError(f"the upstream of {request.upstream.model!r} cannot be reached: {exc}") from exc

    def _read(self, response: httpx.Response) -> bytes:
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > self.max_answer_bytes:
                raise UpstreamError(f"the upstream's answer is larger than {self.max_answer_bytes:,} bytes")
        return bytes(data)

    def _pool(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    timeout=httpx.Timeout(self.timeout_seconds, connect=min(CONNECT_SECONDS, self.timeout_seconds)),
                    limits=httpx.Limits(
                        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS // 4
                    ),
                )
            return self._client


class AnswerStream:
    """The events for the client, in order; `close` records what came if nothing was recorded yet."""

    def __init__(
        self, gateway: Gateway, request: ChatRequest, response: httpx.Response, upstream: contextlib.ExitStack
    ) -> None:
        self._gateway, self._request, self._response, self._upstream = gateway, request, response, upstream
        self._seen = Accumulator(expected=request.body.get("n") or 1)
        self._events = self._run()
        self._settled = False

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        """End the stream: the client left, or everything was sent."""
        try:
            self._events.close()
            if not self._settled:
                with contextlib.suppress(EmptyCompletionError):
                    self._keep()
        finally:
            self._upstream.close()

    def _run(self) -> Generator[bytes]:
        held: list[bytes] = []
        trouble: dict[str, Any] | None = None
        try:
            for data in iterate_events(self._response.iter_bytes()):
                if data == DONE:
                    break
                chunk = parse_json(data)
                if isinstance(chunk, dict) and chunk.get("error"):
                    trouble = {"error": chunk["error"]}
                    break
                if self._seen.add(chunk):
                    held.append(data)
                else:
                    yield _event(data)
        except (httpx.HTTPError, MalformedError) as exc:
            trouble = error_body(UpstreamError(f"the upstream's stream broke off: {exc}"))
        if trouble is None and not self._seen.finished:
            trouble = error_body(UpstreamError("the upstream's stream ended before the answer did"))
        yield from self._finish(held, trouble)

    def _finish(self, held: list[bytes], trouble: dict[str, Any] | None) -> Iterator[bytes]:
        try:
            receipt, count = self._keep()
        except EmptyCompletionError as exc:
            yield _event(orjson.dumps(trouble or error_body(exc)))
            return
        except ProvenanceError as exc:
            yield _event(orjson.dumps(error_body(exc)))
            return
        if trouble is not None:
            yield _event(orjson.dumps(trouble))
            return
        yield from map(_event, held)
        indices = range(receipt.first_index, receipt.first_index + count)
        yield f": provenance-index {','.join(map(str, indices))}\n\n".encode()
        yield _event(DONE)

    def _keep(self) -> tuple[Receipt, int]:
        self._settled = True
        return self._gateway.keep(self._request, self._seen.completion())


def error_body(exc: ProvenanceError) -> dict[str, Any]:
    """One of our errors as OpenAI clients read errors."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kind = kinds.get(exc.status, "invalid_request_error" if exc.status < 500 else "server_error")
    param = exc.errors[0].field if exc.errors else None
    return {"error": {"message": exc.detail, "type": kind, "param": param, "code": exc.code}}


def _event(data: bytes) -> bytes:
    return b"".join(b"data: %b\n" % line for line in data.split(b"\n")) + b"\n"


def _refusal(response: httpx.Response, data: bytes) -> Answer:
    status = response.status_code
    headers = {name: response.headers[name] for name in PASSED_HEADERS if name in response.headers}
    if status < 400:  # a redirect is not followed: the file says where a request may go
        exc = UpstreamError(f"the upstream answered {status}; expected 200")
        return Answer(exc.status, orjson.dumps(error_body(exc)), headers)
    try:
        shaped = isinstance(parse_json(data), dict) and "error" in parse_json(data)
    except MalformedError:
        shaped = False
    if not shaped:
        kind = "invalid_request_error" if status < 500 else "server_error"
        text = data[:500].decode("utf-8", "replace")
        said = {"message": f"the upstream answered {status}: {text}", "type": kind, "param": None, "code": "upstream"}
        data = orjson.dumps({"error": said})
    return Answer(status, data, headers)
