from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from provenance.cli.import_ota import read_archive
from provenance.runtime import Runtime
from tests.archive_repository import CLAUSES, ArchiveRepository, make_terms
from tests.service import LocalService, open_service

URL = "/api/v1/terms/archives"
HOSTILE = "<script>alert(1)</script>"
CHANGED = CLAUSES[3].replace("with us", f"with us or {HOSTILE} our partners")
Found = tuple[dict[str, Any], dict[str, bytes]]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LocalService]:
    with open_service(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveRepository:
    repository = ArchiveRepository(tmp_path / "archive")
    repository.record(make_terms(), subject="First record of")
    repository.record(make_terms(*CLAUSES[:3], CHANGED, head="Effective: January 16, 2026"))
    repository.record(make_terms(), name="Nobody/Terms of Service", subject="First record of")
    return repository


def find(archive: ArchiveRepository, folder: Path) -> Found:
    folder.mkdir(exist_ok=True)
    index = read_archive(archive.folder, "small", folder)
    return index, {f"sha256:{file.name}": file.read_bytes() for file in folder.iterdir()}


def record(service: LocalService, found: Found, *, expect: int = 201) -> Any:
    index, texts = found
    for digest, text in texts.items():
        assert service.client.put(f"{URL}/{index['id']}/texts/{digest}", content=text).status_code == 204
    return service.post(URL, index, expect=expect)


def catalogue_of(runtime: Runtime) -> str:
    return runtime.catalogue.digest


def test_an_import_is_one_signed_entry_and_no_fact(
    empty: LocalService, archive: ArchiveRepository, tmp_path: Path
) -> None:
    found = find(archive, tmp_path / "texts")
    before, size = catalogue_of(empty.runtime), empty.log_size()
    made = record(empty, found)
    assert empty.log_size() == size + 1
    statement = empty.get(f"{URL}/{made['id']}")
    assert statement["source_commit"] == archive.git("rev-parse", "HEAD")
    assert statement["counts"]["versions"] == 3
    assert statement["previous"] is None
    assert {name: statement["index"][name] for name in ("documents", "folded")} == {
        name: found[0][name] for name in ("documents", "folded")
    }
    assert catalogue_of(empty.runtime) == before


def test_the_same_again_records_nothing_and_a_grown_history_what_is_new(
    empty: LocalService, archive: ArchiveRepository, tmp_path: Path
) -> None:
    old = find(archive, tmp_path / "texts")
    first = record(empty, old)
    size = empty.log_size()
    again = record(empty, old)
    assert (again["replayed"], again["entry"], empty.log_size()) == (True, first["entry"], size)
    archive.record(make_terms(*CLAUSES[:2], CHANGED))
    grown = record(empty, find(archive, tmp_path / "texts"))
    assert (grown["id"], grown["replayed"], empty.log_size()) == (first["id"], False, size + 1)
    assert empty.get(f"{URL}/{first['id']}")["previous"] == first["index_digest"]
    assert record(empty, old, expect=409)["code"] == "conflict"
    assert empty.log_size() == size + 1


def test_an_index_without_its_texts_or_with_another_form_changes_nothing(
    empty: LocalService, archive: ArchiveRepository, tmp_path: Path
) -> None:
    index, texts = find(archive, tmp_path / "texts")
    size = empty.log_size()
    assert "were not sent" in empty.post(URL, index, expect=404)["detail"]
    digest, text = next(iter(texts.items()))
    bad = empty.client.put(f"{URL}/{index['id']}/texts/{digest}", content=text + b".")
    assert bad.json()["code"] == "digest-mismatch"
    changes: list[dict[str, Any]] = [
        {"id": "arc_" + "0" * 16}, {"form": "other"}, {"commits": 0}, {"extra": 1}, {"documents": []},
        {"folded": [{**index["documents"][0]["versions"][0], "reason": "because"}]}, {"source_commit": "HEAD"},
        {"passages": [{**index["passages"][0], "topics": ["weather"]}]},
    ]  # fmt: skip
    for change in changes:
        empty.post(URL, index | change, expect=422)
    assert empty.client.put(f"{URL}/..%2f..%2fkeys/texts/{digest}", content=text).status_code == 404
    assert empty.log_size() == size


def test_only_who_governs_may_import_or_mark(empty: LocalService, archive: ArchiveRepository, tmp_path: Path) -> None:
    index, texts = find(archive, tmp_path / "texts")
    engineer = empty.as_role("engineer")
    digest, text = next(iter(texts.items()))
    assert empty.client.put(f"{URL}/{index['id']}/texts/{digest}", content=text, headers=engineer).status_code == 403
    assert empty.client.post(URL, json=index, headers=engineer).status_code == 403
    record(empty, (index, texts))
    url = f"{URL}/passages/{index['passages'][0]['id']}/review"
    assert empty.client.post(url, json={"reason": "read"}, headers=engineer).status_code == 403


def test_a_mark_is_logged_and_shortens_the_list(
    empty: LocalService, archive: ArchiveRepository, tmp_path: Path
) -> None:
    made = record(empty, find(archive, tmp_path / "texts"))
    [passage] = empty.get(f"{URL}/{made['id']}")["index"]["passages"]
    assert passage["review"] is None
    url = f"{URL}/passages/{passage['id']}/review"
    marked = empty.post(url, {"reason": "the bar is wider now"}, expect=201)
    [passage] = empty.get(f"{URL}/{made['id']}")["index"]["passages"]
    assert passage["review"]["reason"] == "the bar is wider now"
    entry = empty.get(f"/log/entries/{marked['entry']}.json")
    assert "passage-review" in str(entry)
    assert empty.get("/sources/archives.json")["rows"][0]["open"] == 0
    empty.post(url, {"reason": ""}, expect=422)
    assert empty.post(f"{URL}/passages/psg_{'0' * 16}/review", {"reason": "x"}, expect=404)["code"] == "not-found"


def test_the_pages_show_words_escaped_and_their_twins_the_same_rows(
    empty: LocalService, archive: ArchiveRepository, tmp_path: Path
) -> None:
    assert "No archive of terms was imported" in empty.client.get("/sources/archives").text
    made = record(empty, find(archive, tmp_path / "texts"))
    base = f"/sources/archives/{made['id']}"
    document = f"{base}/ChatGPT/{quote('Terms of Service')}"
    for path, field in ((base, "documents"), (document, "versions"), ("/sources/archives", "rows")):
        page = empty.client.get(path, headers={"Accept": "text/html"})
        assert page.status_code == 200, page.text
        assert HOSTILE not in page.text
        rows = empty.get(f"{path}.json")[field]
        assert page.text.count("<tr data-row>") == len(rows)
        assert empty.client.get(f"{path}.csv").text.count("\r\n") == len(rows) + 1
    html = empty.client.get(document, headers={"Accept": "text/html"}).text
    assert re.search(r"<ins><span[^>]*>Added: </span>[^<]*or &lt;script&gt;", html)
    shown = empty.get(f"{document}.json")
    assert [item["begins"] for item in shown["versions"]] == ["2026-01-01", "2026-01-16"]
    assert "openai-consumer-eu-2026-01-16" in shown["versions"][1]["beside"]
    nobody = empty.get(f"{base}.json")
    assert (nobody["unknown"], [row["provider"] for row in nobody["documents"]]) == (1, ["openai", None])
    assert empty.client.get(f"{base}/ChatGPT/Nothing").status_code == 404
    assert empty.client.get("/sources/archives/arc_x").status_code == 404


def test_an_index_that_was_changed_on_disk_is_not_shown(
    empty: LocalService, archive: ArchiveRepository, tmp_path: Path
) -> None:
    made = record(empty, find(archive, tmp_path / "texts"))
    [file] = (empty.data_dir / "terms").rglob("*.json")
    file.write_bytes(file.read_bytes().replace(b"ChatGPT", b"ChatGPX"))
    assert empty.client.get(f"{URL}/{made['id']}").json()["code"] == "digest-mismatch"
