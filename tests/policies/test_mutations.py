"""Every rule matters: without it, or turned around, some case fails."""

from __future__ import annotations

import re

import pytest

from provenance.policy.cases import load_cases, run_case
from provenance.policy.pack import build_pack
from provenance.resources import find_resource
from provenance.terms.catalogue import Catalogue, load_catalogue

FOLDER = find_resource("policies", "rules")
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.cedar"))}
SCHEMA = (FOLDER / "schema.cedarschema").read_text(encoding="utf-8")
RULES = [(name, rule) for name, text in TEXTS.items() for rule in re.split(r"(?=^@id\()", text, flags=re.MULTILINE)[1:]]
CASES = load_cases()
IDS = [re.findall(r'@id\("(.*?)"\)', rule)[0] for _, rule in RULES]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def some_case_fails(texts: dict[str, str], catalogue: Catalogue) -> bool:
    pack = build_pack(texts, SCHEMA)
    return any(not run_case(case, catalogue, pack).passed for case in CASES)


@pytest.mark.parametrize(("name", "rule"), RULES, ids=IDS)
def test_dropping_a_rule_makes_a_case_fail(name: str, rule: str, catalogue: Catalogue) -> None:
    left = TEXTS[name].replace(rule, "")
    texts = {**TEXTS, name: left} if "@id" in left else {k: v for k, v in TEXTS.items() if k != name}
    assert some_case_fails(texts, catalogue)


@pytest.mark.parametrize(("name", "rule"), RULES, ids=IDS)
def test_turning_a_rule_around_makes_a_case_fail(name: str, rule: str, catalogue: Catalogue) -> None:
    turned = re.sub(r"^when \{", "unless {", rule, flags=re.MULTILINE)
    assert turned != rule
    assert some_case_fails({**TEXTS, name: TEXTS[name].replace(rule, turned)}, catalogue)
