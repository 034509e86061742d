"""Agreements in whole decisions: they lift what they name, and nothing becomes stricter by them."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provenance.policy.decide import decide
from provenance.policy.inputs import ACTIONS
from provenance.policy.verdict import VERDICTS
from tests.policy.conftest import make_student
from tests.policy.test_fail_closed import CATALOGUE, PACK, SAMPLES, STUDENTS, spell_out


def agree(provider: str) -> dict[str, Any]:
    return {
        "id": f"agr_{provider}", "provider": provider, "parties": ["*"], "models": ["*"], "routes": ["*"], "actions": ["*"],
        "students": ["*"], "document_digest": "sha256:" + "1" * 64, "valid_from": "2020-01-01", "valid_to": None,
    }  # fmt: skip


def ask(sample: dict[str, Any], student: dict[str, Any], action: str, *agreements: dict[str, Any]) -> dict[str, Any]:
    return decide(
        sample,
        student,
        action=action,
        at="2026-11-24",
        agreements=agreements,
        catalogue=CATALOGUE,
        pack=PACK,
        remedies=False,
    )


def test_where_the_text_permits_more_the_agreement_is_left_out() -> None:
    teacher = {"provider": "zhipu", "model": "glm-4v-9b", "route": "weights", "obtained_at": "2025-01-01"}
    sample = {"teacher": teacher, "generated_at": "2025-01-01", "account": {"holder": "acme"}}
    student = make_student(use="internal", distribution="none")
    answer = ask(sample, student, "train", agree("zhipu"))
    assert answer == ask(sample, student, "train")
    assert (answer["verdict"], "agreements" in answer) == ("allow", False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SAMPLES.map(spell_out), STUDENTS, st.sampled_from(ACTIONS), st.data())
def test_an_agreement_is_never_stricter(
    sample: dict[str, Any], student: dict[str, Any], action: str, data: st.DataObject
) -> None:
    own, others = sample["teacher"]["provider"], st.lists(st.sampled_from(sorted(CATALOGUE.providers)), max_size=2)
    named = dict.fromkeys(data.draw(st.permutations([own, *data.draw(others)])))
    before, after = ask(sample, student, action), ask(sample, student, action, *map(agree, named))
    assert VERDICTS.index(after["verdict"]) <= VERDICTS.index(before["verdict"])
    if "agreements" not in after:
        assert after == before
