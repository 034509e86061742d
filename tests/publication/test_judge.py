"""What reached a model by its base counts as much as what its samples bring; what the gate has judged is not judged twice."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.errors import MalformedError
from provenance.publication.judge import Judged, judge_publication
from provenance.store.models import get_model
from provenance.store.session import read_session
from tests.service import LocalService

AT = "2026-11-24T09:00:00Z"
FAMILY_NOTICE = "Built with Llama. A copy of the Llama licence terms is included."


def train(shop: LocalService, key: str, base: str | None, **facts: Any) -> str:
    """A model as a run on `free@1` with this base would have left it, as far as the log goes."""
    student = shop.declare(name=f"Llama-{key}", **facts)
    release = shop.get("/api/v1/releases/free@1")["id"]
    said = {"id": f"run_{key}", "release": release, "student": student, "recipe": "sft", "at": AT, "base_model": base}
    shop.runtime.append("run", {**said, "phase": "plan"})
    shop.runtime.append("model", {
        "id": f"mdl_{key}", "provider": "acme", "name": f"Llama-{key}", "revision": said["id"], "weights_digest": None,
        "kind": "trained", "license": None, "parents": [base] if base else [], "run": said["id"], "conditions": [],
        "release": release,
    })  # fmt: skip
    shop.runtime.append("run", {**said, "phase": "end", "model": f"mdl_{key}"})
    return f"mdl_{key}"


def judge(shop: LocalService, model: str, **more: Any) -> Judged:
    with read_session(shop.runtime.engine) as session:
        return judge_publication(shop.runtime, session, get_model(session, model), **more)


def test_a_base_brings_its_licence_though_no_sample_does(shop: LocalService) -> None:
    assert judge(shop, train(shop, "scratch", None)).permits
    model = train(shop, "based", "meta/llama-3.1-8b-instruct")
    judged = judge(shop, model)
    unmet = {item["type"] for item in judged.answer["conditions"] if item["status"] == "unmet"}
    assert (judged.answer["verdict"], unmet >= {"display-notice", "licence-copy"}) == ("deny", True)
    assert any(item["change"].startswith("notice = ") for item in judged.answer["remedies"])
    assert judge(shop, model, notices=[FAMILY_NOTICE]).answer["verdict"] == "allow-with-conditions"
    renamed = judge(shop, model, notices=[FAMILY_NOTICE], name="acme-plain")
    assert {item["type"] for item in renamed.answer["conditions"] if item["status"] == "unmet"} == {"name-prefix"}


def test_a_base_whose_licence_nobody_knows_is_for_a_person(shop: LocalService) -> None:
    judged = judge(shop, train(shop, "obscure", "nobody/secret-7b"))
    assert (judged.permits, judged.answer["verdict"]) == (False, "review")
    assert [item["rule"] for item in judged.answer["reasons"] if item["effect"] == "review"] == ["lineage"]


def test_the_same_question_has_the_same_answer_and_stores_nothing(shop: LocalService) -> None:
    size = shop.log_size()
    assert judge(shop, "mdl_llama") == judge(shop, "mdl_llama")
    assert shop.log_size() == size


def test_what_was_not_trained_here_is_not_judged(shop: LocalService) -> None:
    said = shop.post("/api/v1/models", {"provider": "acme", "name": "hosted", "kind": "hosted"}, expect=201)
    with pytest.raises(MalformedError, match="a run of this record"):
        judge(shop, said["id"])
