from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import NotFoundError, TermsDocumentError
from provenance.resources import find_resource
from provenance.terms.catalogue import Catalogue, load_catalogue
from provenance.terms.check import check_catalogue, check_days, check_order

NAMED_PROVIDERS = (
    "openai google anthropic deepseek moonshot minimax zhipu 01-ai alibaba tencent baidu meta mistral xai"
).split()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("meta.yaml", "amazon.yaml"):
        shutil.copy(find_resource("policies", "terms", name), tmp_path / name)
    return tmp_path


def change(folder: Path, old: str, new: str, *, name: str = "meta.yaml") -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_all_providers_and_documents_are_on_record(catalogue: Catalogue) -> None:
    assert len(catalogue.providers) == 21
    assert len(catalogue.documents) == 142
    assert all(catalogue.provider(name).documents for name in NAMED_PROVIDERS)


def test_a_provider_is_found_by_name_alias_and_any_case(catalogue: Catalogue) -> None:
    assert catalogue.provider("Google DeepMind").name == "google"
    assert catalogue.provider("HuggingFaceTB").name == "huggingface-smollm"
    assert catalogue.provider("meta_llama").name == "meta"
    assert catalogue.find_provider("quiet-labs") is None
    with pytest.raises(NotFoundError, match="quiet-labs"):
        catalogue.provider("quiet-labs")


def test_a_document_is_named_by_the_digest_of_its_values(catalogue: Catalogue) -> None:
    document = catalogue.get("meta-llama-3.1")
    assert document.digest == sha256_digest(canonical_bytes(document.to_json()))
    assert document.training.clause == "1.b.i"
    with pytest.raises(NotFoundError):
        catalogue.get("meta-llama-9")


def test_loading_twice_gives_the_same_digest(folder: Path) -> None:
    assert load_catalogue(folder).digest == load_catalogue(folder).digest


def test_layout_does_not_count_and_values_do(folder: Path) -> None:
    before = load_catalogue(folder)
    change(folder, "schema:", "\n\n# a remark\nschema:")
    assert load_catalogue(folder).digest == before.digest
    change(folder, "verified: true", "verified: false")
    after = load_catalogue(folder)
    assert after.digest != before.digest
    changed = [d.id for d in after.documents if d.digest != before.get(d.id).digest]
    assert changed == ["meta-llama-1"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("provider: meta", "provider: metta", "expected 'meta' as the file"),
        ("schema: provenance-terms/1", "schema: provenance-terms/2", "provenance-terms/1"),
        ("value: allowed-with-conditions", "value: allowed-somehow", "allowed-somehow"),
        ("effective_from: '2023-02-24'", "effective_from: '2023-02-31'", "meta-llama-1.*not a day"),
        ("effective_from: '2023-02-24'", "effective_from: spring", "effective_from"),
        ("effective_to: null", "effective_to: '2022'", "later than"),
        ("id: meta-llama-2", "id: meta-llama-1", "stands twice"),
        ("verified: true", "verified: sure", "sure"),
        ("verified: true", "verifed: true", "verifed"),
        ("attaches_to: use", "attaches_to: everything", "everything"),
        ("type: mau-threshold", "type: mau-treshold", "mau-treshold"),
        ("        threshold_mau: 700000000\n", "", "threshold_mau"),
        ("        required_prefix: Llama 3\n", "", "required_prefix"),
        ("threshold_mau: 700000000", "threshold_mau: true", "threshold_mau"),
        ("threshold_mau: 700000000", "threshold_mau: -1", "threshold_mau"),
        ("threshold_mau: 700000000", "threshold_mau: .nan", "threshold_mau"),
        ("          - EU\n", "          - EUU\n", "EUU"),
        ("          - EU\n", "          - NO\n", "False"),
        ("models:\n      - llama-2-*\n      - codellama*\n", "models: []\n", "documents.1.models"),
        ("aliases:", "aliases:\n  - amazon", "already names"),
        ("version: null", "superseded_by:\n      - nowhere\n    version: null", "points to nowhere"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(folder: Path, old: str, new: str, what: str) -> None:
    change(folder, old, new)
    with pytest.raises(TermsDocumentError, match=what):
        load_catalogue(folder)


def test_a_folder_without_terms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TermsDocumentError, match="no terms files"):
        load_catalogue(tmp_path)


def test_the_check_names_gaps_overlaps_and_fuzzy_bounds(catalogue: Catalogue) -> None:
    found = {(finding.kind, finding.documents) for finding in check_catalogue(catalogue)}
    assert ("gap", ("mistral-terms-2024-05-22", "mistral-terms-2025-05-27")) in found
    assert ("overlap", ("openai-business-terms-2023-11-14", "openai-services-agreement-2025-05-31")) in found
    assert ("fuzzy", ("google-gemini-api-terms-2024-02-15",)) in found
    assert ("open", ("nvidia-llama-nemotron",)) in found


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("effective_to: '2026-03-26'", "effective_to: '2026-05-26'", "overlap: deepseek-platform-tos-2025-01-20"),
        (
            "effective_to: '2026-03-26'",
            "effective_to: '2026-01-01'",
            "gap: no text on record between deepseek-platform",
        ),
    ],
)
def test_a_gap_or_an_overlap_that_nobody_owns_up_to_is_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    for name in ("deepseek", "meta"):
        shutil.copy(find_resource("policies", "terms") / f"{name}.yaml", tmp_path)
    check_order(load_catalogue(tmp_path))
    text = (tmp_path / "deepseek.yaml").read_text(encoding="utf-8")
    (tmp_path / "deepseek.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TermsDocumentError, match=what):
        check_order(load_catalogue(tmp_path))
    pair = "[deepseek-platform-tos-2025-01-20, deepseek-platform-tos-2026-03-27]"
    text = (tmp_path / "deepseek.yaml").read_text(encoding="utf-8")
    owned = text.replace("documents:\n", f"open_days:\n  - documents: {pair}\n    why: no copy\ndocuments:\n", 1)
    (tmp_path / "deepseek.yaml").write_text(owned, encoding="utf-8")
    check_order(load_catalogue(tmp_path))


def test_the_shipped_catalogue_owns_up_to_its_open_days(catalogue: Catalogue) -> None:
    check_order(catalogue)
    check_days(catalogue, today=dt.date(2026, 11, 24))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("checked_on: '2026-11-24'", "checked_on: '2026-11-25'", "checked_on 2026-11-25"),
        ("checked_on: '2026-11-24'", "checked_on: '2026-11-31'", "checked_on: '2026-11-31'"),
        ("effective_from: '2025-04-05'", "effective_from: '2027-04-05'", "meta-llama-4: effective_from 2027-04-05"),
    ],
)
def test_a_day_that_has_not_come_is_refused(folder: Path, old: str, new: str, what: str) -> None:
    change(folder, old, new)
    with pytest.raises(TermsDocumentError, match=what):
        check_days(load_catalogue(folder), today=dt.date(2026, 11, 24))
