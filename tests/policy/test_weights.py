"""White-box use of a teacher is asked for apart, and old packs keep answering what they were asked before."""

from __future__ import annotations

import re
from typing import Any

import pytest

from provenance.policy.decide import decide
from provenance.policy.pack import Pack, build_pack, load_pack
from provenance.terms.catalogue import Catalogue, load_catalogue

STUDENT = {"name": "acme-1", "developer": {"name": "acme", "country": "FR"}, "use": "commercial", "competes_with": []}
R1 = {"teacher": {"provider": "deepseek", "model": "deepseek-r1", "route": "weights"}, "generated_at": "2026-03-01"}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def ask(action: str, catalogue: Catalogue, pack: Pack, **teacher: str) -> Any:
    sample = R1 | {"teacher": R1["teacher"] | teacher}  # type: ignore[operator]  # a mapping
    return decide(sample, STUDENT, action=action, catalogue=catalogue, pack=pack)


def old_pack() -> Pack:
    """The rules as they were before weights were asked about."""
    now = load_pack()
    texts = {name: text for name, text in now.texts.items() if name != "weights"}
    schema = re.sub(r"^  weights_.*\n", "", now.schema_text, flags=re.MULTILINE).replace(", distill", "")
    assert "distill appliesTo" not in schema
    assert "weights_not_held" not in schema
    return build_pack(texts, schema)


def test_a_pack_of_before_answers_as_before_and_never_permits_the_weights(catalogue: Catalogue) -> None:
    old = old_pack()
    assert ask("train", catalogue, old)["verdict"] == "allow"
    answer = ask("distill", catalogue, old)
    assert answer["verdict"] == "review"
    assert answer["reasons"][0]["rule"] == "default.evaluation-error"


def test_a_class_without_these_facts_is_not_permitted(catalogue: Catalogue) -> None:
    pack = load_pack()
    student = {"use": "commercial", "distribution": "none", "export_concern": False, "controlled_hardware": False}
    sets = re.findall(r"^  (\w+): Set<String>", pack.schema_text, flags=re.MULTILINE)
    words = {"route": "weights", "source_licence": "none", "prompt_licence": "open", "evidence": "recorded"}
    facts: dict[str, Any] = {name: [] for name in sets} | words | {"permits_stated": ["deepseek-mit"]}
    assert pack.evaluate("train", student, facts).permitted
    asked = pack.evaluate("distill", student, facts)
    assert {rule.id for rule in asked.rules} == {"weights.not-held", "weights.no-explicit-permission"}
    known = facts | {"weights_not_held": [], "weights_no_permission": []}
    assert pack.evaluate("distill", student, known).permitted


@pytest.mark.parametrize("route", ["api", "consumer", "reseller", "dataset"])
def test_a_teacher_behind_a_service_has_no_weights_to_lend(route: str, catalogue: Catalogue) -> None:
    answer = ask("distill", catalogue, load_pack(), route=route)
    assert answer["verdict"] == "deny"
    assert "weights.not-held" in {reason["rule"] for reason in answer["reasons"]}


def test_what_may_not_be_trained_on_may_not_be_distilled(catalogue: Catalogue) -> None:
    """The permission for weights stands beside the one for outputs, never in its place."""
    sample = {"teacher": {"provider": "openai", "model": "gpt-4o", "route": "api"}, "generated_at": "2026-03-01"}
    rival = STUDENT | {"competes_with": ["openai"]}
    answers = [
        decide(sample, rival, action=word, catalogue=catalogue, pack=load_pack()) for word in ("train", "distill")
    ]
    for answer in answers:
        assert answer["verdict"] not in {"allow", "allow-with-conditions"}
        assert any(reason["rule"].startswith("competition.") for reason in answer["reasons"])
