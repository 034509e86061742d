"""What the demo asks of the service: plain HTTP, and the official `openai` client for the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import openai
import orjson

from provenance.errors import UnavailableError

ENDED = {"done", "failed", "cancelled", "allowed", "partial", "blocked"}
POLL_SECONDS = 0.5


class DemoClient:
    """One connection to the service, with a token."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120)
        self._openai = openai.OpenAI(base_url=f"{url}/gateway/v1", api_key=token, timeout=300, max_retries=2)

    def __enter__(self) -> DemoClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._openai.close()

    def get(self, path: str) -> Any:
        """GET, or the problem as an error."""
        return _checked(self._http.get(path))

    def post(self, path: str, body: Any, *, key: str) -> Any:
        """POST once, whatever happens: the key makes a repetition harmless."""
        return _checked(self._http.post(path, json=body, headers={"Idempotency-Key": key}))

    def ask_teacher(self, model: str, dataset: str, prompt: Mapping[str, Any], max_tokens: int) -> int:
        """One answer of the teacher through the gateway; the index of its log entry. What was asked before is not asked again."""
        found = self._http.get(f"/api/v1/log/lookup/external-id/{prompt['id']}")
        if found.status_code == 200:
            return int(found.json()["index"])
        answer = self._openai.chat.completions.with_raw_response.create(
            model=model,
            messages=[{"role": "user", "content": prompt["prompt"]}],
            temperature=0,
            max_tokens=max_tokens,
            extra_headers={
                "Provenance-Dataset": dataset,
                "Provenance-External-Id": prompt["id"],
                "Provenance-Prompt-Origin": "human",
                "Provenance-Prompt-License": "CC0-1.0",
            },
        )
        return int(answer.headers["Provenance-Index"])

    def import_samples(self, samples: Sequence[Mapping[str, Any]], *, key: str) -> Any:
        """Hand in samples that somebody claims to have."""
        body = b"\n".join(orjson.dumps(sample) for sample in samples)
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        return _checked(self._http.post("/api/v1/samples", params={"source": "import"}, content=body, headers=headers))

    def build_release(self, body: Mapping[str, Any], *, key: str) -> Any:
        """Ask for a release and wait until it is built."""
        asked = self.post("/api/v1/releases", body, key=key)
        return self.wait(asked["status_url"], lambda _: None)

    def refused_run(self, body: Mapping[str, Any]) -> Any:
        """Launch a run that must be refused; the problem body that comes back.

        Raises:
            UnavailableError: it was not refused.
        """
        answer = self._http.post("/api/v1/runs", json=body)
        if answer.status_code != 409:
            raise UnavailableError(
                f"a launch that is not allowed was answered {answer.status_code}: {answer.text[:300]}"
            )
        return answer.json()

    def wait(self, path: str, show: Callable[[Any], None]) -> Any:
        """Wait until what `path` describes has ended; `show` sees every state on the way.

        Raises:
            UnavailableError: it failed.
        """
        while True:
            state = self.get(path)
            show(state)
            if state["state"] in ENDED:
                break
            time.sleep(POLL_SECONDS)
        if state["state"] in {"failed", "cancelled"}:
            raise UnavailableError(f"{path} ended {state['state']}: {state['error']}")
        return state


def _checked(answer: httpx.Response) -> Any:
    if answer.status_code >= 400:
        raise UnavailableError(
            f"{answer.request.method} {answer.request.url.path} -> {answer.status_code}: {answer.text[:600]}"
        )
    return answer.json()
