"""The pages of collections over a recorded one: forms that agree, filters, errors; rendering is tested with all pages."""

from __future__ import annotations

import csv
import io
import re
from html import unescape

import pytest

from provenance.api.routes.pages.collection_filters import PAGE_SIZE
from tests.capture.collection.summaries import one_file
from tests.policy.collection.requests import DATASETS, make_request
from tests.service import LocalService

MANY = {f"set {number:03d}": {"licenses": ["MIT License"]} for number in range(2 * PAGE_SIZE)}


@pytest.fixture(scope="module")
def base(service: LocalService) -> str:
    files = one_file(DATASETS) | one_file(MANY, part_of="Many")
    return f"/sources/collections/{service.post('/api/v1/collections', make_request(files=files), expect=201)['id']}"


@pytest.mark.parametrize("path", ["", "?kind=same", "?q=gpt4", "/gpt4-nc", "/human-of-nc"])
def test_the_three_forms_of_a_page_hold_the_same_rows(service: LocalService, base: str, path: str) -> None:
    html = service.client.get(base + path, headers={"Accept": "text/html"})
    assert html.status_code == 200, html.text
    links = re.findall(r'<link rel="alternate" type="([^"]+)" href="([^"]+)"', html.text)
    forms = {kind: service.client.get(unescape(url)) for kind, url in links}
    view = forms["application/json"].json()
    rows = list(csv.DictReader(io.StringIO(forms["text/csv"].text)))
    said = view.get("rows", view.get("licenses"))
    assert rows
    assert len(rows) == len(said)
    if "rows" in view:
        shown = re.findall(rf'<tr data-row><td><a href="{base}/([^"]+)">', html.text)
        assert [unescape(name).replace("%20", " ") for name in shown] == [row["id"] for row in rows]


def test_facets_count_what_their_choice_shows(service: LocalService, base: str) -> None:
    view = service.get(f"{base}.json")
    for facet in view["facets"]:
        for value in facet["values"]:
            found = service.get(f"{base}.json", params={facet["name"]: value["value"]})
            assert found["pager"]["total"] == value["count"], (facet["name"], value)
    for kind in view["kinds"]:
        path = kind["url"].partition("#")[0].replace("?", ".json?")
        assert service.get(path)["pager"]["total"] == kind["datasets"]


def test_choices_narrow_between_facets_and_add_up_within(service: LocalService, base: str) -> None:
    def ids(query: str) -> set[str]:
        return {row["id"] for row in service.get(f"{base}.json?{query}")["rows"]}

    assert ids("ours=deny") == {"llama2", "llama2-nc"}
    assert ids("ours=deny&ours=allow") == {"llama2", "llama2-nc", "mixtral"}
    assert ids("ours=deny&upstream=commercial") == {"llama2"}
    assert ids("ours=deny&q=LLAMA2-N") == {"llama2-nc"}
    assert ids("kind=nothing-like-that") == set()


def test_pages_of_data_sets_meet_without_gap_or_double(service: LocalService, base: str) -> None:
    seen: list[str] = []
    url = f"{base}.json"
    while url:
        page = service.get(url)
        seen += [row["id"] for row in page["rows"]]
        older = page["pager"]["older_url"]
        url = older and older.partition("#")[0].replace("?", ".json?")
    assert seen == sorted({*DATASETS, *MANY})
    first = service.get(page["pager"]["newer_url"].partition("#")[0].replace("?", ".json?"))
    assert [row["id"] for row in first["rows"]] == seen[-len(page["rows"]) - PAGE_SIZE : -len(page["rows"])]


def test_what_is_not_there_is_not_found(service: LocalService, base: str) -> None:
    for path in (
        "/sources/collections/col_0",
        "/sources/collections/..%2f..%2fetc",
        f"{base}/nothing",
        f"{base}/..%2fx",
    ):
        assert service.client.get(path).status_code == 404


def test_files_that_were_changed_are_an_error_and_not_a_page(service: LocalService, base: str) -> None:
    request = make_request(origin="to be changed")
    identifier = service.post("/api/v1/collections", request, expect=201)["id"]
    path = service.data_dir / "collections" / identifier / "comparison.json"
    path.write_bytes(path.read_bytes().replace(b'"deny"', b'"done"'))
    answer = service.client.get(f"/sources/collections/{identifier}", headers={"Accept": "text/html"})
    assert answer.status_code == 409
    assert "is not the file that was recorded" in answer.text


def test_the_entry_leads_to_its_collection(service: LocalService, base: str) -> None:
    view = service.get(f"{base}.json")
    entry = service.client.get(f"/log/entries/{view['entry_index']}", headers={"Accept": "text/html"}).text
    assert f'href="{base}"' in entry
