"""A service that was told texts which stand nowhere else, for the tests of erasure."""

from __future__ import annotations

import secrets
from typing import Any

from provenance.ledger.audit import audit_log
from provenance.store.session import read_session
from tests.service import LocalService, make_sample


def make_words(count: int) -> list[tuple[str, str]]:
    """Prompts and completions that stand nowhere else in the world."""
    return [(f"q-{secrets.token_hex(24)}", f"a-{secrets.token_hex(24)}") for _ in range(count)]


class Told:
    """A service to which texts were told that stand nowhere else, and a release that holds them."""

    def __init__(self, service: LocalService, count: int = 200) -> None:
        self.service = service
        self.words = make_words(count)
        samples = [
            make_sample(number, dataset="told", prompt=prompt, completion=completion, external_id=f"told-{number}")
            for number, (prompt, completion) in enumerate(self.words)
        ]
        self.samples = samples
        self.first = service.capture(samples, key="told")["first_index"]
        self.student = service.declare(name="told-student")
        self.release = service.release(self.student, "told", dataset="told")
        self.approver = service.as_role("counsel")

    def index(self, position: int) -> int:
        return int(self.first) + position

    def needles(self, positions: list[int]) -> list[str]:
        return [text for position in positions for text in self.words[position]]

    def ask(self, *, expect: int = 201, **body: Any) -> Any:
        return self.service.post("/api/v1/erasures", {"reason": "a person asked", **body}, expect=expect)

    def approve(self, identifier: str, *, expect: int = 202, headers: dict[str, str] | None = None) -> Any:
        return self.service.post(
            f"/api/v1/erasures/{identifier}/approve", None, expect=expect, headers=headers or self.approver
        )

    def erase(self, **body: Any) -> Any:
        asked = self.ask(**body)
        return self.service.wait(self.approve(asked["id"])["status_url"])

    def audit(self) -> Any:
        runtime = self.service.runtime
        with read_session(runtime.engine) as session:
            return audit_log(session, runtime.ring.vkeys)


def read_salts(told: Told, index: int) -> list[str]:
    opening = told.service.get(f"/api/v1/samples/{index}/evidence.json")["opening"]
    return [opening["prompt_salt"], opening["completion_salt"]]
