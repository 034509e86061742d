from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provenance.errors import PolicyDocumentError
from provenance.policy.cases import check_cases, load_cases
from provenance.policy.facts import DOCUMENT_FACTS, OWN_FACTS, WEIGHTS_FACTS
from provenance.policy.pack import Pack, load_pack
from provenance.policy.words import check_pack
from provenance.resources import find_resource
from provenance.terms.catalogue import Catalogue

PACKS = "competition disclosure evidence export-control ownership privacy quality terms territory weights".split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(find_resource("policies", "rules"), tmp_path / "rules")
    return tmp_path / "rules"


def change(folder: Path, old: str, new: str, name: str = "quality.cedar") -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shipped_packs_are_all_there(pack: Pack) -> None:
    assert sorted(pack.packs) == PACKS
    assert {rule.pack for rule in pack.rules.values()} == set(PACKS)


def test_every_rule_says_what_it_enforces_and_where_it_comes_from(pack: Pack) -> None:
    known = {
        *DOCUMENT_FACTS,
        *WEIGHTS_FACTS,
        *OWN_FACTS,
        "unclear",
        "scans",
        "evidence",
        "export",
        "source_licence",
        "prompt_licence",
    }
    for rule in pack.rules.values():
        assert rule.id.split(".")[0] == rule.pack
        assert rule.title
        assert rule.clause
        assert rule.conditions or (rule.about or "").split(".")[0] in known
        assert (rule.remedy is None) == (rule.effect == "permit")


def test_the_digest_follows_the_text(folder: Path) -> None:
    before = load_pack(folder)
    assert load_pack(folder).digest == before.digest
    change(folder, "quality gate", "quality bar")
    after = load_pack(folder)
    assert after.digest != before.digest
    assert [name for name in after.packs if after.packs[name] != before.packs[name]] == ["quality"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('@id("quality.failed-check")', "", "rule number 1 of the file has no @id"),
        ('@id("quality.failed-check")', '@id("")', "no @id"),
        ('@title("A quality check failed")', "", "failed-check has no @title"),
        ('@basis("the customer\'s quality gate")', "", "neither @clause nor @basis"),
        ('@verdict("review")', "", "expected deny or review"),
        ('@verdict("review")', '@verdict("maybe")', "maybe"),
        ('@route("policy")', '@route("rumour")', "rumour"),
        ('@about("scans.quality")', "", "neither @about nor @condition"),
        ("resource.scans", "resource.scanz", "failed-check does not type-check"),
        ('resource.scans.contains("quality")', "resource.route", "failed-check does not type-check"),
        ("action,", 'action == Action::"sell",', "failed-check does not type-check"),
        ("forbid (", "forbit (", "quality.cedar"),
        ("forbid (", "permit (", "takes no @verdict"),
        ('@id("quality.failed-check")', '@id("privacy.personal-data")', "already stands in privacy.cedar"),
        ("principal, action", "principal == ?principal, action", "no templates"),
        ('@about("scans.quality")', '@about("scans.qualty")', "failed-check: @about is 'scans.qualty'"),
        ('@remedy("drop")', '@remedy("pray")', "failed-check: @remedy is 'pray'"),
        ('@remedy("drop")', '@remdy("drop")', "failed-check: @remdy is 'remdy'"),
        ('@about("scans.quality")', '@condition("name-prefx")', "@condition is 'name-prefx'"),
        ('contains("quality")', 'contains("qualty")', "failed-check: scans is 'qualty'"),
        ('resource.scans.contains("quality")', 'resource.route == "apis"', "route is 'apis'"),
        ('resource.scans.contains("quality")', '!(principal.use != "hobby")', "use is 'hobby'"),
        ('resource.scans.contains("quality")', 'resource.unmet.containsAny(["name-prefix", "x"])', "unmet is 'x'"),
        ('@basis("the customer\'s quality gate")', '@basis("  ")', "neither @clause nor @basis"),
    ],
)
def test_a_bad_rule_is_refused_with_its_file_and_name(folder: Path, old: str, new: str, what: str) -> None:
    change(folder, old, new)
    with pytest.raises(PolicyDocumentError, match=what) as caught:
        load_pack(folder)
    assert "quality.cedar" in str(caught.value)


def test_a_bad_schema_or_an_empty_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    change(folder, "entity Student", "entity Student in", "schema.cedarschema")
    with pytest.raises(PolicyDocumentError, match=r"schema\.cedarschema"):
        load_pack(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PolicyDocumentError, match="at least one"):
        load_pack(tmp_path / "empty")


def test_a_missing_fact_is_an_error_and_never_an_answer(pack: Pack) -> None:
    student = {"use": "internal", "distribution": "none", "export_concern": False, "controlled_hardware": False}
    evaluation = pack.evaluate("train", student, {"route": "weights"})
    assert evaluation.error
    assert not evaluation.permitted
    assert pack.evaluate("train", {}, {}).error


def test_a_rule_that_names_a_document_which_is_not_on_record_is_refused(folder: Path, catalogue: Catalogue) -> None:
    check_pack(load_pack(folder), catalogue)
    change(folder, 'resource.scans.contains("quality")', 'resource.documents.contains("meta-llama-3")')
    check_pack(load_pack(folder), catalogue)
    change(folder, '"meta-llama-3"', '"opneai-terms"')
    with pytest.raises(PolicyDocumentError, match=r"quality\.failed-check names 'opneai-terms'"):
        check_pack(load_pack(folder), catalogue)


def test_rules_that_are_no_text_are_refused(folder: Path) -> None:
    (folder / "quality.cedar").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyDocumentError, match=r"quality\.cedar: not readable"):
        load_pack(folder)


def test_a_pack_without_cases_is_refused(folder: Path) -> None:
    cases = load_cases()
    check_cases(cases, load_pack(folder))
    text = (folder / "quality.cedar").read_text(encoding="utf-8")
    (folder / "novel.cedar").write_text(text.replace('"quality.failed-check"', '"novel.x"'), encoding="utf-8")
    with pytest.raises(PolicyDocumentError, match=r"novel\.cedar: a pack without cases"):
        check_cases(cases, load_pack(folder))
    (folder / "novel.cedar").unlink()
    (folder / "quality.cedar").write_text(text.replace("failed-check", "failed"), encoding="utf-8")
    with pytest.raises(PolicyDocumentError, match=r"record\.yaml.*expects rule 'quality\.failed-check'"):
        check_cases(cases, load_pack(folder))
