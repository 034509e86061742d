"""An answer depends on its question alone: not on what was asked before, what is still remembered, or who got it before."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from provenance.canonical import canonical_bytes
from provenance.errors import MalformedError
from provenance.policy import pack as module
from provenance.policy.cases import PolicyCase, load_cases
from provenance.policy.decide import decide, decide_classes
from provenance.policy.pack import Pack, load_pack
from provenance.resources import find_resource
from provenance.terms.catalogue import Catalogue
from tests.policy.conftest import make_student

CASES = load_cases()


def _ask(case: PolicyCase, catalogue: Catalogue, pack: Pack) -> bytes:
    try:
        answer = decide(
            case.sample, case.student, action=case.action, at=case.at, agreements=case.agreements,
            catalogue=catalogue, pack=pack,
        )  # fmt: skip
    except MalformedError as exc:
        return str(exc).encode()
    return canonical_bytes(answer)


def _ask_all(cases: Iterable[PolicyCase], catalogue: Catalogue, pack: Pack) -> dict[tuple[str, str], bytes]:
    return {(case.file, case.name): _ask(case, catalogue, pack) for case in cases}


@pytest.mark.parametrize("kept", [0, 1, 4096])
def test_every_case_has_one_answer_in_any_order(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    first = _ask_all(CASES, catalogue, load_pack())
    monkeypatch.setattr(module, "KEPT_ANSWERS", kept)
    other = load_pack()
    assert _ask_all(reversed(CASES), catalogue, other) == first
    assert _ask_all(CASES, catalogue, other) == first
    assert len(set(first.values())) > 100, "cases that are all answered alike prove nothing"


def test_what_the_asker_does_to_an_answer_changes_no_other(catalogue: Catalogue) -> None:
    pack = load_pack()
    case = next(case for case in CASES if case.action == "publish")
    before = _ask(case, catalogue, pack)
    answer = decide(case.sample, case.student, action="publish", at=case.at, catalogue=catalogue, pack=pack)
    for reason in answer["reasons"]:
        reason["facts"].clear()
    for items in (answer["reasons"], answer["conditions"], answer["documents"], answer["policy"]["packs"]):
        items.clear()
    assert _ask(case, catalogue, pack) == before


def test_two_packs_never_share_an_answer(catalogue: Catalogue, pack: Pack) -> None:
    """The same request to rules that all deny and to the shipped ones, one after the other."""
    schema = (find_resource("policies", "rules") / module.SCHEMA_FILE).read_text()
    rule = '@id("x.none") @title("Nothing") @clause("1") @route("policy") @about("evidence") @verdict("deny")'
    strict = module.build_pack({"strict": f"{rule} forbid(principal, action, resource);"}, schema)
    classes = [(f"sha256:{number:064x}", case.sample, 1, 1) for number, case in enumerate(CASES[:40])]
    for _ in range(2):
        assert decide_classes(classes, make_student(), catalogue=catalogue, pack=pack).verdict == "deny"
        told = decide_classes(classes, make_student(), catalogue=catalogue, pack=strict)
        assert {item.verdict for item in told.classes} == {"deny"}
        shipped = decide_classes(classes, make_student(), catalogue=catalogue, pack=pack)
        assert len({item.verdict for item in shipped.classes}) > 1
