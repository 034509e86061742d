from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provenance.errors import ConflictError, ForbiddenError
from provenance.policy.decide import decide, decide_classes
from provenance.policy.exception import PolicyException, find_objection, fold_exception, is_liftable, student_digest
from provenance.policy.inputs import ACTIONS
from provenance.policy.verdict import PERMITTING, VERDICTS
from tests.policy.conftest import make_sample, make_student
from tests.policy.test_fail_closed import CATALOGUE, PACK, SAMPLES, STUDENTS, spell_out

TODAY = dt.date(2026, 11, 24)
OPENAI = "openai/gpt-4o"
RIVAL = make_student(competes_with=["openai"])
BAR = "competition.competing-model"
CLASS = "sha256:" + "c" * 64


def request(student: Mapping[str, Any] = RIVAL, **changes: Any) -> dict[str, Any]:
    scope = {
        "actions": ["train"],
        "rules": [BAR],
        "student": {"id": "stu_1", "name": "x", "digest": student_digest(student)},
        "dataset": None,
        "fact_classes": None,
        "teacher": OPENAI,
    }
    outer: dict[str, Any] = {
        name: changes.pop(name) for name in ("reason", "expires_on", "actor", "at") if name in changes
    }
    return {
        "id": "exc_1", "step": "request", "reason": "a study for the regulator", "scope": {**scope, **changes},
        "expires_on": "2026-12-24", "actor": "erin", "at": "2026-11-20T09:00:00Z", **outer,
    }  # fmt: skip


def step(name: str, actor: str, at: str = "2026-11-21T09:00:00Z") -> dict[str, Any]:
    return {"id": "exc_1", "step": name, "reason": None, "scope": None, "expires_on": None, "actor": actor, "at": at}


APPROVED = (step("approve", "carla"), step("approve", "luis"))


def active(student: Mapping[str, Any] = RIVAL, **changes: Any) -> PolicyException:
    return fold_exception([request(student, **changes), *APPROVED])


def ask(
    exceptions: Sequence[PolicyException], student: Mapping[str, Any] = RIVAL, action: str = "train", **options: Any
) -> dict[str, Any]:
    options = {"at": TODAY, **options}
    sample = options.pop("sample", make_sample(OPENAI, "api"))
    return decide(sample, student, action=action, exceptions=exceptions, catalogue=CATALOGUE, pack=PACK, **options)


def test_two_people_who_did_not_ask_for_it_make_it_active() -> None:
    one = fold_exception([request(), APPROVED[0]])
    assert (one.state(TODAY), active().state(TODAY)) == ("requested", "active")
    assert [item.approver for item in active().approvals] == ["carla", "luis"]


@pytest.mark.parametrize("actor", ["erin", "Erin", " erin ", "ERIN"])
def test_whoever_asked_cannot_approve_under_any_spelling(actor: str) -> None:
    assert isinstance(find_objection(fold_exception([request()]), "approve", actor, TODAY), ForbiddenError)
    assert fold_exception([request(), step("approve", actor), step("approve", "luis")]).state(TODAY) == "requested"


@pytest.mark.parametrize("actor", ["carla", "Carla", "carla "])
def test_the_same_approver_counts_once(actor: str) -> None:
    held = fold_exception([request(), APPROVED[0]])
    assert isinstance(find_objection(held, "approve", actor, TODAY), ConflictError)
    assert fold_exception([request(), APPROVED[0], step("approve", actor)]).state(TODAY) == "requested"


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([step("refuse", "luis")], "refused"),
        ([APPROVED[0], step("refuse", "luis")], "refused"),
        ([step("revoke", "luis")], "revoked"),
        ([*APPROVED, step("revoke", "luis")], "revoked"),
    ],
)
def test_what_has_ended_stays_ended(steps: list[dict[str, Any]], state: str) -> None:
    held = fold_exception([request(), *steps])
    assert held.state(TODAY) == state
    for name in ("approve", "refuse", "revoke"):
        assert isinstance(find_objection(held, name, "zoe", TODAY), ConflictError)
    assert fold_exception([request(), *steps, *APPROVED, step("approve", "zoe")]).state(TODAY) == state


def test_after_its_last_day_nothing_can_be_done_with_it() -> None:
    late = step("approve", "luis", "2026-12-25T00:00:00Z")
    held = fold_exception([request(), APPROVED[0], late])
    assert held.state(TODAY) == "requested"  # the late approval was none
    assert held.state(dt.date(2026, 12, 25)) == "expired"
    assert isinstance(find_objection(held, "approve", "luis", dt.date(2026, 12, 25)), ConflictError)


def test_an_active_one_is_revoked_and_not_refused() -> None:
    assert isinstance(find_objection(active(), "refuse", "luis", TODAY), ConflictError)
    assert find_objection(active(), "revoke", "erin", TODAY) is None


def test_it_lifts_what_it_names_and_the_answer_shows_who_did() -> None:
    before, after = ask([]), ask([active()])
    assert (before["verdict"], after["verdict"]) == ("deny", "allow-with-conditions")
    reason = next(item for item in after["reasons"] if item["rule"] == BAR)
    assert reason == {**before["reasons"][0], "lifted_by": "exc_1"}
    assert after["exceptions"] == ["exc_1"]
    assert {
        "type": "exception",
        "requirement": "a study for the regulator (until 2026-12-24)",
        "status": "met",
        "document": "exc_1",
        "clause": None,
    } in after["conditions"]


@pytest.mark.parametrize(
    "change",
    [
        {"rules": ["quality.failed-check"]},
        {"actions": ["release", "serve"]},
        {"teacher": "openai/gpt-4o-mini"},
        {"teacher": "openai/gpt-4"},
        {"dataset": "other"},
        {"fact_classes": [CLASS]},
        {"student": {"id": "stu_1", "name": "x", "digest": student_digest({**RIVAL, "use": "internal"})}},
        {"expires_on": "2026-11-23"},
    ],
)
def test_outside_its_scope_it_lifts_nothing(change: dict[str, Any]) -> None:
    assert ask([active(**change)]) == ask([])


def test_before_the_second_approval_and_without_a_day_it_lifts_nothing() -> None:
    assert ask([active()], at="2026-11-20") == ask([], at="2026-11-20")
    assert ask([active()], at="2026-11-21")["verdict"] == "allow-with-conditions"
    assert ask([active()], at="2026-12-24")["verdict"] == "allow-with-conditions"
    assert ask([active()], at="2026-12-25") == ask([], at="2026-12-25")
    assert ask([active()], at=None) == ask([], at=None)


def test_another_rule_still_speaks() -> None:
    sample = make_sample(OPENAI, "api", scans={"personal_data": "found"})
    answer = ask([active()], sample=sample)
    assert answer["verdict"] == "review"
    assert {reason["rule"]: reason.get("lifted_by") for reason in answer["reasons"]} == {
        BAR: "exc_1",
        "privacy.personal-data": None,
    }


def test_a_statute_cannot_be_lifted_even_where_it_is_named() -> None:
    held = [active(rules=[BAR, "export-control.listed-party", "privacy.personal-data"])]
    for scan, verdict in (("listed_party", "deny"), ("personal_data", "review")):
        answer = ask(held, sample=make_sample(OPENAI, "api", scans={scan: "found"}))
        assert answer["verdict"] == verdict
        assert [reason["rule"] for reason in answer["reasons"] if "lifted_by" in reason] == [BAR]
    assert not any(is_liftable(rule) for rule in PACK.rules.values() if rule.route == "statute")
    assert {rule.pack for rule in PACK.rules.values() if rule.pack == "export-control" and is_liftable(rule)} == set()


def test_a_reason_that_turns_on_an_unknown_fact_cannot_be_lifted() -> None:
    vague = make_student(competes_with="unknown")
    rules = [rule.id for rule in PACK.rules.values() if is_liftable(rule)]
    answer = ask([active(vague, rules=rules)], vague)
    assert answer["verdict"] == ask([], vague)["verdict"] == "review"
    assert answer["unknown"] == ["competes_with"]
    assert "exceptions" not in answer


def test_an_error_of_evaluation_cannot_be_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    from provenance.policy.pack import Evaluation, Pack

    monkeypatch.setattr(Pack, "evaluate", lambda *_: Evaluation(False, (), "a fact has another type"))
    answer = ask([active(rules=[*PACK.rules, "default.evaluation-error"])])
    assert (answer["verdict"], "exceptions" in answer) == ("review", False)


def test_it_is_for_the_classes_and_the_data_set_that_it_names() -> None:
    facts = make_sample(OPENAI, "api", generated_at="2026-03-01")
    classes = [(CLASS, facts, 3, 30), ("sha256:" + "d" * 64, {**facts, "generated_at": "2026-03-02"}, 5, 50)]

    def verdicts(held: PolicyException, dataset: str | None = "math") -> list[str]:
        decided = decide_classes(
            classes, RIVAL, at=TODAY, exceptions=[held], dataset=dataset, catalogue=CATALOGUE, pack=PACK
        )
        assert bool(decided.answer.get("exceptions")) == any(c.verdict in PERMITTING for c in decided.classes)
        return [item.verdict for item in decided.classes]

    both = ["allow-with-conditions"] * 2
    assert verdicts(active(fact_classes=[CLASS])) == ["allow-with-conditions", "deny"]
    assert verdicts(active(dataset="math", teacher=None)) == both
    assert verdicts(active(dataset="code", teacher=None)) == ["deny", "deny"]
    assert verdicts(active(dataset="math", teacher=None), dataset=None) == ["deny", "deny"]


LIFTABLE = sorted(rule.id for rule in PACK.rules.values() if is_liftable(rule))
NOT_ACTIVE = [
    [],
    [APPROVED[0]],
    [APPROVED[0], APPROVED[0]],
    [step("approve", "erin"), APPROVED[0]],
    [*APPROVED, step("revoke", "zoe")],
    [APPROVED[0], step("refuse", "zoe"), APPROVED[1]],
    [APPROVED[0], step("approve", "luis", "2026-12-25T00:00:00Z")],
]


def for_question(sample: Mapping[str, Any], student: Mapping[str, Any], action: str, **changes: Any) -> dict[str, Any]:
    teacher = f"{sample['teacher']['provider']}/{sample['teacher']['model']}"
    return request(student, teacher=teacher, actions=[action], **{"rules": LIFTABLE, **changes})


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SAMPLES.map(spell_out), STUDENTS, st.sampled_from(ACTIONS), st.sampled_from(NOT_ACTIVE))
def test_no_other_state_changes_any_answer(
    sample: dict[str, Any], student: dict[str, Any], action: str, steps: list[dict[str, Any]]
) -> None:
    held = fold_exception([for_question(sample, student, action), *steps])
    without = ask([], student, action, sample=sample, remedies=False)
    assert ask([held], student, action, sample=sample, remedies=False) == without
    expired = fold_exception([for_question(sample, student, action, expires_on="2026-11-23"), *APPROVED])
    assert ask([expired], student, action, sample=sample, remedies=False) == without


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    SAMPLES.map(spell_out),
    STUDENTS,
    st.sampled_from(ACTIONS),
    st.lists(st.sampled_from(LIFTABLE), min_size=1, max_size=len(LIFTABLE), unique=True),
)
def test_it_is_never_stricter_and_lifts_only_what_it_names(
    sample: dict[str, Any], student: dict[str, Any], action: str, rules: list[str]
) -> None:
    held = fold_exception([for_question(sample, student, action, rules=rules), *APPROVED])
    before = ask([], student, action, sample=sample, remedies=False)
    after = ask([held], student, action, sample=sample, remedies=False)
    assert VERDICTS.index(after["verdict"]) <= VERDICTS.index(before["verdict"])
    lifted = {reason["rule"] for reason in after["reasons"] if "lifted_by" in reason}
    assert lifted <= set(rules)
    assert bool(lifted) == ("exceptions" in after)
    if lifted:
        assert after["verdict"] != "allow"
    else:
        assert after == before
    bare = [{name: value for name, value in reason.items() if name != "lifted_by"} for reason in after["reasons"]]
    shown_before = [reason for reason in before["reasons"] if not reason["rule"].startswith("terms.candidates")]
    assert all(reason in bare for reason in shown_before if not reason["rule"].startswith("default."))
