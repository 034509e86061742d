"""The client of a running service: thin calls, the recording of samples, verified releases.

Errors are those of `provenance.errors`, whichever side found them; a service that is not there is `UnavailableError`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from provenance.client.capture import Capture
from provenance.client.problem import error_of
from provenance.client.spool import Spool, default_spool
from provenance.client.upload import Uploader
from provenance.errors import FieldError, SettingsError, UnavailableError

DEFAULT_URL = "http://127.0.0.1:8000"
BUSY_STATES = frozenset(("queued", "planned", "building", "running", "rendering", "pending"))


class Client:
    """Talks to one service. `url` and `token` come from `PROVENANCE_URL` and `PROVENANCE_TOKEN` where they are not given.

    Args:
        spool: the folder that holds samples until the service has taken them; one for each service by default.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_seconds: float = 60.0,
        spool: str | Path | None = None,
    ) -> None:
        self.url = _check_url(url or os.environ.get("PROVENANCE_URL") or DEFAULT_URL)
        self.spool = Spool(Path(spool) if spool is not None else default_spool(self.url))
        token = token or os.environ.get("PROVENANCE_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_seconds)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """One request; an answer of 400 or more is raised as the error that it carries."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = self._http.request(
                method, path, json=json, content=content, headers=headers, params=given or None
            )
        except httpx.TransportError as exc:
            raise _unreachable(self.url, exc) from exc
        if response.status_code >= 400:
            raise error_of(response)
        return response

    def get(self, path: str, **params: Any) -> Any:
        """The JSON at `path`; parameters that are None are left out."""
        return self.request("GET", path, params=params).json()

    def get_bytes(self, path: str) -> bytes:
        """The bytes at `path`."""
        return self.request("GET", path).content

    def post(self, path: str, json: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Post JSON; the same `idempotency_key` does nothing twice."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return self.request("POST", path, json=json, headers=headers).json()

    def post_samples(self, lines: bytes, *, source: str, idempotency_key: str) -> dict[str, Any]:
        """Post samples, one JSON object a line; the receipt."""
        headers = {"Idempotency-Key": idempotency_key, "Content-Type": "application/x-ndjson"}
        answer = self.request("POST", "/api/v1/samples", content=lines, headers=headers, params={"source": source})
        receipt: dict[str, Any] = answer.json()
        return receipt

    def wait(
        self, path: str, *, on_update: Callable[[dict[str, Any]], None] | None = None, poll_seconds: float = 0.5
    ) -> dict[str, Any]:
        """Ask `path` until the work that it shows has ended; the last answer."""
        while True:
            body: dict[str, Any] = self.get(path)
            if on_update is not None:
                on_update(body)
            if body.get("state") not in BUSY_STATES:
                return body
            time.sleep(poll_seconds)

    @contextmanager
    def download(self, path: str) -> Iterator[Iterator[bytes]]:
        """The bytes at `path`, in pieces."""
        try:
            with self._http.stream("GET", path) as response:
                if response.status_code >= 400:
                    response.read()
                    raise error_of(response)
                yield response.iter_bytes()
        except httpx.TransportError as exc:
            raise _unreachable(self.url, exc) from exc

    def capture(
        self, dataset: str, teacher: str | Mapping[str, Any], route: str | None = None, **defaults: Any
    ) -> Capture:
        """Record samples of one teacher: `with client.capture("math", "openai/gpt-4o", "api") as capture: capture.log(...)`.

        `defaults` are fields of every sample, for example `account={"holder": "acme", "plan": "api"}`.
        """
        return Capture(self.spool, self.post_samples, dataset=dataset, teacher=teacher, route=route, defaults=defaults)

    def flush(self, timeout_seconds: float = 30.0) -> int:
        """Send what earlier processes left in the spool; how many samples still wait there.

        Raises:
            MalformedError: the service refused samples; they lie in the spool's `rejected` folder, with the reasons.
        """
        uploader = Uploader(self.spool, self.post_samples)
        uploader.start()
        uploader.close(timeout_seconds)
        uploader.raise_rejected()
        return self.spool.count_waiting() + uploader.in_flight

    def load_release(
        self,
        release: str | Path,
        student: str | None = None,
        *,
        split: str = "train",
        keys: Any = None,
        format: str = "datasets",  # noqa: A002  # as in `load_release`
    ) -> Any:
        """A verified `datasets.Dataset` of a release (`"math@3"`, an id, or a folder), or another `format` of it; see
        `provenance.load_release`."""
        from provenance.client.release import load_release

        return load_release(release, student=student, split=split, keys=keys, client=self, format=format)


def _check_url(url: str) -> str:
    expected = "http://HOST:PORT or https://HOST"
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(
            f"PROVENANCE_URL: expected {expected}, got {url!r}", FieldError("PROVENANCE_URL", url, expected)
        )
    return url.rstrip("/")


def _unreachable(url: str, exc: httpx.TransportError) -> UnavailableError:
    said = str(exc) or type(exc).__name__
    return UnavailableError(f"the service at {url} does not answer ({said}); start it with `provenance serve`")
