"""Knowing less never permits more: any fact taken away, or said to be unknown, leaves the verdict or makes it stricter.

Two kinds of facts are outside: those of the record itself (scans, evidence, prompt rights, export facts), which are not
assessed where they are missing, and those for which the contract names what stands in their place when they are left
out (the day and revision of the copy, the host, what was served). Said to be unknown, these are tried like all others.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provenance.canonical import canonical_bytes
from provenance.policy.decide import decide
from provenance.policy.inputs import ACTIONS, DISTRIBUTIONS, PURPOSES, USES
from provenance.policy.pack import Pack, load_pack
from provenance.policy.verdict import PERMITTING
from provenance.terms.catalogue import Catalogue, load_catalogue

CATALOGUE: Catalogue = load_catalogue()
PACK: Pack = load_pack()
TEACHERS = sorted(
    {
        f"{document.provider}/{pattern.replace('*', '').rstrip('-') or 'some-model'}"
        for document in CATALOGUE.documents
        for pattern in document.models[:3]
    }
)
AGREEMENTS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(sorted(CATALOGUE.providers)),
        "parties": st.sampled_from([["acme"], ["other"]]),
        "models": st.sampled_from([["*"], ["gpt-4o"]]),
        "routes": st.lists(st.sampled_from(["weights", "api", "consumer", "reseller", "dataset"]), min_size=1),
        "actions": st.lists(st.sampled_from(ACTIONS), min_size=1),
        "students": st.sampled_from([["acme-tutor"], ["Llama-acme"]]),
        "document_digest": st.just("sha256:" + "a" * 64),
        "valid_from": st.just("2023-01-01"),
        "valid_to": st.sampled_from(["2024-12-31", "2027-12-31"]),
    }
)
HOSTS = ["aws-bedrock", "azure", "z.ai", "bigmodel-cn", "openai", "deepseek", "some-router"]
DAYS = st.dates(min_value=dt.date(2023, 6, 1), max_value=dt.date(2026, 11, 24)).map(str)
PLACES = st.sampled_from(["US", "DE", "FR", "GB", "KR", "JP"])
NAMES = ["acme-tutor", "Llama-acme", "Llama-3-acme", "glm-4-acme"]
NOTICES = [
    "Built with Llama",
    "Built with Qwen",
    "Gemma Terms of Use",
    "Hunyuan license notice",
    "Kimi K2",
    "Yi licence",
]

SAMPLES = st.fixed_dictionaries(
    {
        "teacher": st.fixed_dictionaries(
            {
                "teacher": st.sampled_from(TEACHERS),
                "route": st.sampled_from(["weights", "api", "consumer", "reseller", "dataset"]),
            },
            optional={
                "host": st.sampled_from(HOSTS),
                "obtained_at": DAYS,
                "revision": st.sampled_from(["e27aac415872aa258b38315f4d51a751dbd31237", "a01f06af"]),
                "served_model": st.sampled_from(["qwen2.5-3b", "minimax-m2", "mystery-1"]),
            },
        ),
        "generated_at": DAYS,
        "account": st.sampled_from([{"holder": "acme"}, {"holder": "other"}, None]),
    },
    optional={
        "generated_in": PLACES,
        "source_dataset": st.sampled_from([{"license": "CC0-1.0"}, {"license": "CC-BY-NC-4.0"}, {"license": "own"}]),
    },
)
STUDENTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "developer": st.fixed_dictionaries({"name": st.sampled_from(["acme", "other"]), "country": PLACES}),
        "base_model": st.sampled_from(["acme-base", "meta-llama/Llama-3-8b", "hunyuan-1.8b", "grok-2", "qwen1.5-7b"]),
        "base_license": st.sampled_from(["apache-2.0", "llama3", "tongyi-qianwen"]),
        "release_license": st.sampled_from(["apache-2.0", "gemma", "tencent-hunyuan-community", "acme-licence"]),
        "use": st.sampled_from(USES),
        "distribution": st.sampled_from(DISTRIBUTIONS),
        "purpose": st.sampled_from(PURPOSES),
        "competes_with": st.lists(st.sampled_from(sorted(CATALOGUE.providers)), max_size=4),
        "territories": st.lists(PLACES, min_size=1, max_size=3),
        "monthly_active_users": st.sampled_from([10, 200_000_000, 800_000_000]),
        "annual_revenue_usd": st.sampled_from([1, 25_000_000, 300_000_000, 20_000_000_000]),
        "notices": st.lists(st.sampled_from(NOTICES), max_size=6),
    }
)

DEFAULTED = {("teacher", name) for name in ("obtained_at", "revision", "host", "served_model")}


def spell_out(sample: Mapping[str, Any]) -> dict[str, Any]:
    teacher = dict(sample["teacher"])
    provider, _, model = teacher.pop("teacher").partition("/")
    return {**sample, "teacher": {"provider": provider, "model": model, **teacher}}


def paths(facts: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in facts.items():
        yield (*before, name)
        if isinstance(value, Mapping):
            yield from paths(value, (*before, name))


def without(facts: Mapping[str, Any], path: tuple[str, ...], *, drop: bool) -> dict[str, Any]:
    changed = copy.deepcopy(dict(facts))
    place = changed
    for name in path[:-1]:
        place = place[name]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = "unknown"
    return changed


def ask(
    sample: Mapping[str, Any], student: Mapping[str, Any], action: str, agreements: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    return decide(sample, student, action=action, agreements=agreements, catalogue=CATALOGUE, pack=PACK, remedies=False)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SAMPLES.map(spell_out), STUDENTS, st.sampled_from(ACTIONS), st.lists(AGREEMENTS, max_size=2), st.data())
def test_knowing_less_never_permits_more(
    sample: dict[str, Any], student: dict[str, Any], action: str, agreements: list[dict[str, Any]], data: st.DataObject
) -> None:
    facts = {"sample": sample, "student": student}
    named = [
        path
        for path in paths(facts)
        if path[1:] not in ((), ("teacher",), ("teacher", "provider"), ("teacher", "model"))
    ]
    path = data.draw(st.sampled_from(named))
    drop = path[1:] not in DEFAULTED and data.draw(st.booleans())
    less = without(facts, path, drop=drop)
    before = ask(sample, student, action, agreements)
    after = ask(less["sample"], less["student"], action, agreements)
    if before["verdict"] not in PERMITTING:
        assert after["verdict"] not in PERMITTING


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SAMPLES.map(spell_out), STUDENTS, st.sampled_from(ACTIONS), AGREEMENTS, st.data())
def test_an_agreement_of_which_less_is_known_never_lifts_more(
    sample: dict[str, Any], student: dict[str, Any], action: str, agreement: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([key for key in agreement if key != "provider"]))
    drop = name != "valid_to" and data.draw(st.booleans())  # without an end it goes on
    before = ask(sample, student, action, [agreement])
    after = ask(sample, student, action, [without(agreement, (name,), drop=drop)])
    without_any = ask(sample, student, action)
    if before["verdict"] not in PERMITTING:
        assert after["verdict"] not in PERMITTING
    assert without_any["verdict"] in PERMITTING or before["verdict"] not in PERMITTING or before.get("agreements")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SAMPLES.map(spell_out), STUDENTS, st.sampled_from(ACTIONS))
def test_the_same_question_gives_the_same_bytes(sample: dict[str, Any], student: dict[str, Any], action: str) -> None:
    turned = {name: student[name] for name in reversed(student)}
    other_catalogue_order = {name: sample[name] for name in reversed(sample)}
    assert canonical_bytes(ask(sample, student, action)) == canonical_bytes(ask(other_catalogue_order, turned, action))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SAMPLES.map(spell_out), STUDENTS, st.sampled_from(ACTIONS))
def test_an_answer_holds_together(sample: dict[str, Any], student: dict[str, Any], action: str) -> None:
    answer = ask(sample, student, action)
    effects = {reason["effect"] for reason in answer["reasons"]}
    assert effects
    if answer["verdict"] in PERMITTING:
        assert effects == {"permit"}
        assert answer["unknown"] == []
        assert all(document["verified"] for document in answer["documents"])
    if answer["verdict"] == "deny":
        assert "deny" in effects
    if action in ("publish", "serve") and answer["verdict"] in PERMITTING:
        assert all(condition["status"] in ("met", "not-triggered") for condition in answer["conditions"])
    if answer["verdict"] == "allow":
        assert all(condition["status"] == "not-triggered" for condition in answer["conditions"])
    named = {document["id"] for document in answer["documents"]}
    assert {reason["document"] for reason in answer["reasons"]} - {None} <= named
