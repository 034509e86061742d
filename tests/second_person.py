"""What tests of second persons share: tokens of named people, and the house rules of `policies/options` in force."""

from __future__ import annotations

from typing import Any

from provenance.policy.proposal import read_folder
from provenance.resources import find_resource
from provenance.store.session import write_session
from provenance.store.tokens import create_token
from tests.service import LocalService


def make_token(service: LocalService, name: str, role: str = "counsel") -> str:
    with write_session(service.runtime.engine) as session:
        return create_token(session, name=name, role=role, now="2026-01-01T00:00:00Z", expires_at=None)[1]


def person(service: LocalService, name: str, role: str = "counsel") -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(service, name, role)}"}


def house_rules() -> dict[str, Any]:
    """The shipped pack with the rules that ask for a second person."""
    whole = read_folder(find_resource("policies"))
    option = {
        field: {
            path.name if field == "cases" else path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()
        }
        for field, folder in ((name, find_resource("policies", "options", name)) for name in ("rules", "cases"))
    }
    return {**whole, **{field: {**whole[field], **option[field]} for field in option}}


def put_in_force(service: LocalService, sources: dict[str, Any]) -> None:
    """One person proposes a pack, another approves it."""
    made = service.post("/api/v1/policies", sources, expect=201, headers=person(service, "pack-author"))
    seen = {"digest": made["digest"], "replay_digest": made["replay"]["digest"]}
    url = f"/api/v1/policies/{made['id']}/approve"
    service.post(url, seen, expect=201, headers=person(service, "pack-approver"))
