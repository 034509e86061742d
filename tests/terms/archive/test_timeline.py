from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provenance.canonical import sha256_digest
from provenance.errors import ConflictError, DigestMismatchError, NotFoundError
from provenance.terms.archive.history import open_history
from provenance.terms.archive.index import Shelf, check_growth, count
from provenance.terms.archive.timeline import build_timeline, make_index
from tests.archive_repository import CLAUSES, UPGRADE, ArchiveRepository, make_terms

BUNDLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "open-terms-archive-genai-eu.bundle"
CHANGED = CLAUSES[3].replace("with us", "with us or our partners")


def _index(path: Path, kept: dict[str, bytes] | None = None) -> dict[str, Any]:
    texts: dict[str, bytes] = {} if kept is None else kept
    with open_history(path) as history:
        return make_index(history, build_timeline(history.iterate(), texts.__setitem__), "archive")


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveRepository:
    repository = ArchiveRepository(tmp_path / "archive")
    repository.record(make_terms(), subject="First record of")
    return repository


def test_changed_words_make_a_version_and_noise_is_folded_with_its_reason(archive: ArchiveRepository) -> None:
    archive.record(make_terms(head="**Effective: 1 January 2026**"))
    archive.record("Redirecting to legal.example.org\n")
    archive.record(make_terms(*CLAUSES[:3], CHANGED, head="Effective: February 1, 2026"))
    kept: dict[str, bytes] = {}
    index = _index(archive.bundle(), kept)
    [document] = index["documents"]
    assert [(item["begins"], item["stated_day"]) for item in document["versions"]] == [
        ("2026-01-01", "2026-01-01"), ("2026-02-01", "2026-02-01"),
    ]  # fmt: skip
    assert {item["digest"] for item in document["versions"]} == set(kept)
    assert all(sha256_digest(text) == digest for digest, text in kept.items())
    assert [item["reason"] for item in index["folded"]] == ["page", "failed-extraction"]
    [passage] = index["passages"]
    assert (passage["old"], passage["new"]) == (CLAUSES[3], CHANGED)
    assert passage["places"][0]["fetched_at"] == "2026-01-06T12:00:00Z"
    assert count(index)["fetched"] == 4


def test_a_technical_upgrade_is_the_archives_change_and_never_the_providers(archive: ArchiveRepository) -> None:
    archive.record(make_terms(*CLAUSES[:3], CHANGED), subject=UPGRADE)
    index = _index(archive.folder)
    assert count(index)["folded_by_reason"] == {"technical-upgrade": 1}
    assert [(item["changed_by"], item["new"]) for item in index["passages"]] == [("archive", CHANGED)]
    assert (count(index)["passages"], count(index)["passages_by_archive"]) == (0, 1)


def test_what_comes_after_an_upgrade_is_compared_with_it(archive: ArchiveRepository) -> None:
    archive.record(make_terms(*CLAUSES[:3], CHANGED), subject=UPGRADE)
    archive.record(make_terms(*CLAUSES[:2], "We may end the services at any time and owe nothing for it.", CHANGED))
    index = _index(archive.folder)
    assert count(index)["versions"] == 2
    assert count(index)["passages"] == 0


def test_the_same_change_in_two_documents_is_one_passage_in_two_places(archive: ArchiveRepository) -> None:
    other = "ChatGPT/Commercial Terms"
    archive.record(make_terms(), name=other, subject="First record of")
    for name in (other, "ChatGPT/Terms of Service"):
        archive.record(make_terms(*CLAUSES[:3], CHANGED), name=name)
    [passage] = _index(archive.folder)["passages"]
    assert [place["document"] for place in passage["places"]] == ["Commercial Terms", "Terms of Service"]


def test_words_that_change_under_the_same_date_begin_when_they_were_seen(archive: ArchiveRepository) -> None:
    archive.record(make_terms(*CLAUSES[:3], CHANGED))
    [document] = _index(archive.folder)["documents"]
    assert [item["begins"] for item in document["versions"]] == ["2026-01-01", "2026-01-04"]


def test_a_document_that_was_taken_out_is_said(archive: ArchiveRepository) -> None:
    archive.git("rm", "--quiet", "ChatGPT/Terms of Service.md")
    archive.commit("Remove")
    assert [item["reason"] for item in _index(archive.folder)["folded"]] == ["removed"]


def test_an_archive_may_grow_but_not_tell_otherwise(archive: ArchiveRepository, tmp_path: Path) -> None:
    first = _index(archive.folder)
    archive.record(make_terms(*CLAUSES[:3], CHANGED))
    grown = _index(archive.folder)
    check_growth(first, grown)
    assert first["id"] == grown["id"]
    with pytest.raises(ConflictError, match="older, or was rewritten"):
        check_growth(grown, first)


def test_a_kept_file_that_was_changed_is_not_read(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "arc_" + "0" * 16)
    digest = shelf.keep_text(b"terms")
    assert shelf.keep_text(b"terms") == digest
    assert shelf.read_text(digest) == b"terms"
    [file] = tmp_path.rglob("*.md")
    file.write_bytes(b"other terms")
    with pytest.raises(DigestMismatchError):
        shelf.read_text(digest)
    with pytest.raises(NotFoundError):
        Shelf(tmp_path, "../../etc")


def test_the_real_archive_folds_to_what_was_read_by_hand() -> None:
    if not BUNDLE.exists():
        pytest.skip("the shared archive is not beside this checkout")
    index = _index(BUNDLE)
    counts = count(index)
    assert (counts["commits"], counts["fetched"], counts["documents"]) == (536, 533, 31)
    assert counts["versions"] + counts["folded"] == counts["fetched"]
    assert counts["folded_by_reason"]["failed-extraction"] == 4  # 2025-12-15: "Redirecting to legal.mistral.ai"
    assert 90 <= counts["versions"] <= 130
    assert 20 <= counts["passages"] < 100
    new = " ".join(item["new"] or "" for item in index["passages"])
    for words in REAL_CHANGES:
        assert words in new, words


# Read in the history itself: what the texts newly say on training with outputs, on their ownership, on competition.
REAL_CHANGES = (
    "use App Requests to develop models that compete with OpenAI",
    "you may not use image Outputs to develop or train any image generation product that competes",
    "Customer (a) retains all ownership rights in Input and (b) owns all Output",
    "Mistral AI hereby assigns to Customer all right, title, and interest",
    "use the Output or any modified version of the Output to reverse engineer the Mistral AI Products",
    "As between you and Mistral AI, you own all rights to your Outputs",
    "Mistral AI will not use Customer Content to train its artificial intelligence models",
)
