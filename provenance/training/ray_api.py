"""Ray's Jobs REST API, as far as a run needs it: version, authentication, capacity, submit, look, stop.

- No package of Ray is used, so the service is tied to no version of it; which versions may answer is checked.
- What answers is not trusted: answers are bounded, redirects refused (they would carry the token elsewhere), JSON is checked.
- `UnavailableError` is what may pass (no connection, time-out, 5xx); `RayError` is what will not (401, a wrong version).
"""

from __future__ import annotations

import functools
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson
from pydantic import SecretStr

from provenance.errors import ConflictError, UnavailableError

API_VERSION: Final = "4"
OLDEST: Final = (2, 52)
"""The first with authentication by token; 2.60 is what the tests run on."""
MAX_ANSWER_BYTES: Final = 4_000_000
TIMEOUT_SECONDS: Final = 15.0
SHOWN_CHARACTERS: Final = 300
STATES: Final = frozenset({"PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"})
ENDED: Final = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})


class RayError(ConflictError):
    """The cluster, as it is, will not be given the run."""

    code = "ray-cluster"


@dataclass(frozen=True)
class Cluster:
    """What a cluster says of itself, and whether it asks who asks."""

    version: str
    authenticated: bool


@dataclass(frozen=True)
class Node:
    """One node of the cluster: what it has and what of that is in use."""

    name: str
    cpus: float
    gpus: float
    cpus_used: float
    gpus_used: float


@dataclass(frozen=True)
class Job:
    """One submission as the cluster knows it; `exit_code` None where the command's own end was not seen."""

    state: str
    message: str
    exit_code: int | None
    node: str | None


class RayApi:
    """A cluster at one address."""

    def __init__(self, url: str, token: SecretStr | None, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._token = token
        # trust_env: no proxy and no .netrc of the environment may see, or replace, the token.
        self._client = httpx.Client(base_url=self.url, timeout=timeout_seconds, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def check(self, *, allow_unauthenticated: bool) -> Cluster:
        """Refuse a cluster of an unknown version or without authentication.

        Raises:
            RayError: says what was expected.
            UnavailableError: it does not answer.
        """
        authenticated = self._check_authentication(allow_unauthenticated=allow_unauthenticated)
        said = self._json("GET", "/api/version")
        version, api = said.get("ray_version"), said.get("version")
        found = re.match(r"(\d+)\.(\d+)\.\d", version) if isinstance(version, str) else None
        known = found is not None and (2, 10**6) > (int(found[1]), int(found[2])) >= OLDEST
        if api != API_VERSION or not known:
            raise RayError(
                f"ray: expected Ray 2.{OLDEST[1]} or newer, below 3, with job API {API_VERSION}; "
                f"{self.url} says {_shown(version)} with {_shown(api)}"
            )
        return Cluster(str(version), authenticated)

    def _check_authentication(self, *, allow_unauthenticated: bool) -> bool:
        """Ask without the token: a cluster that answers lets anybody who reaches it run anything."""
        status, _ = self._send("GET", "/api/jobs/", token=False)
        if status in {401, 403}:
            if self._token is None:
                raise RayError(f"ray: {self.url} asks for a token; expected one in PROVENANCE_RAY_TOKEN")
            return True
        if status != 200:
            raise UnavailableError(f"ray: {self.url} answered {status} to a question without a token; expected 401")
        if not allow_unauthenticated:
            raise RayError(
                f"ray: {self.url} answers without a token, so whoever reaches it can run programs there and read "
                "this release; expected RAY_AUTH_MODE=token on the cluster, or --allow-unauthenticated-cluster"
            )
        return False

    def list_nodes(self) -> list[Node]:
        """The nodes that the cluster reports resources for.

        Raises:
            UnavailableError: it says nothing, or something else than that.
        """
        said = self._json("GET", "/api/cluster_status")
        try:
            usage = said["data"]["clusterStatus"]["loadMetricsReport"]["usageByNode"]
            nodes = [_node(name, resources) for name, resources in usage.items()]
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise UnavailableError(f"ray: {self.url} does not say what its nodes have: {exc!r}") from exc
        if not nodes:
            raise UnavailableError(f"ray: {self.url} reports no node yet")
        return nodes

    def submit(self, submission_id: str, entrypoint: str, *, cpus: int, gpus: int) -> None:
        """Hand over a job under our own id; one that is there already under this id is the same one.

        Raises:
            UnavailableError: it was not taken, or nobody knows; asking again is safe.
        """
        body = {
            "entrypoint": entrypoint,
            "submission_id": submission_id,
            "entrypoint_num_cpus": cpus,
            "entrypoint_num_gpus": gpus,
            "metadata": {"started_by": "provenance"},
        }
        status, answer = self._send("POST", "/api/jobs/", body=body)
        if status != 200 and self.find_job(submission_id) is None:
            raise UnavailableError(f"ray: {self.url} did not take the job: {status}, {_shown(answer)}")

    def find_job(self, submission_id: str) -> Job | None:
        """The job of this id, or None where the cluster says that there is none."""
        status, answer = self._send("GET", f"/api/jobs/{quote(submission_id, safe='')}")
        if status == 404:
            return None
        said = self._parse(status, answer)
        state, code, node = said.get("status"), said.get("driver_exit_code"), said.get("driver_node_id")
        if state not in STATES or said.get("submission_id") != submission_id:
            raise UnavailableError(f"ray: {self.url} says of {submission_id}: {_shown(answer)}")
        exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
        return Job(state, str(said.get("message") or ""), exit_code, node if isinstance(node, str) else None)

    def stop(self, submission_id: str) -> None:
        """Ask the cluster to end a job and its processes. One that has not begun cannot be ended by it."""
        status, answer = self._send("POST", f"/api/jobs/{quote(submission_id, safe='')}/stop")
        if status != 404:
            self._parse(status, answer)

    def _json(self, method: str, path: str) -> Mapping[str, Any]:
        return self._parse(*self._send(method, path))

    def _parse(self, status: int, answer: bytes) -> Mapping[str, Any]:
        if status in {401, 403}:
            raise RayError(f"ray: {self.url} refuses the token in PROVENANCE_RAY_TOKEN: {_shown(answer)}")
        if status != 200:
            raise UnavailableError(f"ray: {self.url} answered {status}: {_shown(answer)}")
        try:
            said = orjson.loads(answer)
        except ValueError as exc:
            raise UnavailableError(f"ray: {self.url} answered what is not JSON: {_shown(answer)}") from exc
        if not isinstance(said, dict):
            raise UnavailableError(f"ray: {self.url} answered no JSON object: {_shown(answer)}")
        return said

    def _send(self, method: str, path: str, *, body: Any = None, token: bool = True) -> tuple[int, bytes]:
        headers = {}
        if token and self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        try:
            with self._client.stream(method, path, json=body, headers=headers) as answer:
                if answer.is_redirect:
                    to = _shown(answer.headers.get("location"))
                    raise RayError(f"ray: {self.url} sends {path} on to {to}; expected an answer of its own")
                return answer.status_code, b"".join(self._bounded(answer))
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise UnavailableError(f"ray: {self.url} does not answer: {type(exc).__name__}: {exc}") from exc

    def _bounded(self, answer: httpx.Response) -> Iterator[bytes]:
        size = 0
        for chunk in answer.iter_bytes():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise UnavailableError(f"ray: {self.url} answers more than {MAX_ANSWER_BYTES} bytes")
            yield chunk


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading the system's certificates costs more than a question; a run asks each second."""
    return ssl.create_default_context()


@contextmanager
def open_api(url: str, token: SecretStr | None) -> Iterator[RayApi]:
    """A cluster's API for the length of a block."""
    api = RayApi(url, token)
    try:
        yield api
    finally:
        api.close()


def _node(name: str, resources: Mapping[str, Any]) -> Node:
    cpus_used, cpus = _pair(resources.get("CPU"))
    gpus_used, gpus = _pair(resources.get("GPU"))
    return Node(str(name), cpus, gpus, cpus_used, gpus_used)


def _pair(value: Any) -> tuple[float, float]:
    """`[used, total]`; a resource that is not named is not there."""
    if value is None:
        return 0.0, 0.0
    used, total = value
    return float(used), float(total)


def _shown(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return repr(text[:SHOWN_CHARACTERS])
