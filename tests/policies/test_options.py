"""The house rules that a pack may ask a second person with: their cases, and that each of them matters."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from provenance.errors import PolicyDocumentError
from provenance.policy.cases import PolicyCase, check_cases, parse_cases, run_case
from provenance.policy.pack import Evaluation, Pack, build_pack
from provenance.policy.proposal import parse_proposal
from provenance.terms.catalogue import Catalogue, load_catalogue
from provenance.terms.yaml_file import parse_yaml
from tests.second_person import house_rules

NAME = "second-person"
SOURCES = house_rules()
OPTION = SOURCES["rules"][NAME]
RULES = re.split(r"(?=^@id\()", OPTION, flags=re.MULTILINE)[1:]
EVERY = parse_cases({name: parse_yaml(text, name) for name, text in SOURCES["cases"].items()})
CASES = [case for case in EVERY if case.file == f"{NAME}.yaml"]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def build(option: str) -> Pack:
    return build_pack({**SOURCES["rules"], NAME: option}, SOURCES["schema"])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_case_comes_out_as_it_was_written(case: PolicyCase, catalogue: Catalogue) -> None:
    assert run_case(case, catalogue, build(OPTION)).problems == ()


def test_with_them_the_whole_pack_can_be_proposed(catalogue: Catalogue) -> None:
    proposal = parse_proposal(SOURCES, catalogue)
    assert set(proposal.pack.approvals) == {"second-person.conditions", "second-person.route"}
    assert not set(proposal.pack.approvals) & set(proposal.pack.rules)
    check_cases(EVERY, proposal.pack)
    untried = {**SOURCES, "cases": {name: text for name, text in SOURCES["cases"].items() if not name.startswith(NAME)}}
    with pytest.raises(PolicyDocumentError, match=r"2 rules have no case: second-person\.conditions"):
        parse_proposal(untried, catalogue)


def test_they_change_no_verdict(catalogue: Catalogue) -> None:
    shipped = build_pack({name: text for name, text in SOURCES["rules"].items() if name != NAME}, SOURCES["schema"])
    assert shipped.approvals == {}
    for case in EVERY[::7]:
        results = [run_case(case, catalogue, pack) for pack in (shipped, build(OPTION))]
        assert results[0].verdict == results[1].verdict, case.name


def changes() -> list[str]:
    whole = "".join(RULES)
    found = [whole.replace(rule, "") for rule in RULES]
    found += [
        re.sub(r"^when \{", "unless {", whole, flags=re.MULTILINE),
        whole.replace('@given("allow-with-conditions")\n', ""),
    ]
    found += [whole.replace(', Action::"train"', ""), whole.replace("allow-with-conditions", "allow")]
    return [*found, whole.replace('resource.route == "reseller" || ', "").replace('"dataset"', '"reseller"')]


@pytest.mark.parametrize("option", changes(), ids=range(len(changes())))
def test_dropping_or_changing_a_rule_makes_a_case_fail(option: str, catalogue: Catalogue) -> None:
    assert option != "".join(RULES)
    pack = build(option)
    assert any(not run_case(case, catalogue, pack).passed for case in CASES)


def test_rules_that_cannot_be_evaluated_ask_all_the_same() -> None:
    pack = replace(build(OPTION), _ask_approval=lambda _action, _entities: Evaluation(False, (), "broken"))
    asked = {rule.id for rule in pack.ask_approval("release", {}, {}, "allow")}
    assert asked == {"second-person.route"}  # the other one is about releases with conditions, whatever the facts are
    assert {rule.id for rule in pack.ask_approval("release", {}, {}, "allow-with-conditions")} == set(pack.approvals)
    assert {rule.id for rule in build(OPTION).ask_approval("release", {}, {}, "allow")} == {"second-person.route"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('@given("allow-with-conditions")', '@given("deny")', "@given is 'deny'"),
        ('@verdict("approve")\n@given', '@verdict("review")\n@about("evidence")\n@given', "@given stands only beside"),
        ("forbid (", "permit (", "is a permit and takes no @verdict"),
        ('@verdict("approve")', '@verdict("aprove")', "expected deny or review"),
    ],
)
def test_a_misspelt_rule_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(PolicyDocumentError, match=message):
        build(OPTION.replace(old, new, 1))
