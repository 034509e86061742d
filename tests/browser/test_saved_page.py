"""A sample's page that was saved to disk verifies the evidence that was kept beside it: no service, no network."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.open import open_page, verify_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
STATIC = re.compile(r'(src|href)="/static/([^"]+)"')


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        data: bytes = answer.read()
        return data


@pytest.fixture
def saved(gallery_url: str, tmp_path: Path) -> tuple[Path, Path]:
    """The page as browsers save it, its files in a folder beside it; and the evidence, downloaded from its link."""
    html = fetch(f"{gallery_url}/gallery/sample").decode()
    for _, name in STATIC.findall(html):
        path = tmp_path / "sample_files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(fetch(f"{gallery_url}/static/{name}"))
    match = re.search(r'data-verify="([^"]+)"', html)
    assert match
    (tmp_path / "evidence.json").write_bytes(fetch(f"{gallery_url}{match[1]}"))
    page = tmp_path / "sample.html"
    page.write_text(STATIC.sub(r'\1="sample_files/\2"', html), encoding="utf-8")
    return page, tmp_path / "evidence.json"


def open_saved(chromium: Browser, saved: tuple[Path, Path]) -> Page:
    page, _ = open_page(chromium, saved[0].as_uri())
    page.context.set_offline(True)
    return page


def test_it_verifies_the_evidence_that_was_kept(chromium: Browser, saved: tuple[Path, Path]) -> None:
    page = open_saved(chromium, saved)
    page.locator("[data-from-disk] input").set_input_files(saved[1])
    outcome, steps = verify_in(page)
    assert outcome.startswith("All 5 checks passed in this browser"), (outcome, steps)
    assert set(steps.values()) == {"Verified"}
    page.context.close()


def test_it_refuses_evidence_that_was_altered(chromium: Browser, saved: tuple[Path, Path]) -> None:
    value = json.loads(saved[1].read_text())
    value["opening"]["prompt"] = "another question"
    saved[1].write_text(json.dumps(value))
    page = open_saved(chromium, saved)
    page.locator("[data-from-disk] input").set_input_files(saved[1])
    outcome, steps = verify_in(page)
    assert outcome.startswith("Verification failed")
    assert [step for step, state in steps.items() if state == "Failed"] == ["text"]
    page.context.close()


def test_it_asks_for_the_evidence_where_none_is_chosen(chromium: Browser, saved: tuple[Path, Path]) -> None:
    page = open_saved(chromium, saved)
    assert page.locator("[data-from-disk]").is_visible()
    outcome, _ = verify_in(page)
    assert "choose the evidence file that you kept" in outcome
    page.context.close()


def test_evidence_that_is_no_json_is_said_to_be_unreadable(chromium: Browser, saved: tuple[Path, Path]) -> None:
    saved[1].write_text("{")
    page = open_saved(chromium, saved)
    page.locator("[data-from-disk] input").set_input_files(saved[1])
    assert "could not be read" in verify_in(page)[0]
    page.context.close()


def test_a_served_page_asks_for_no_file(chromium: Browser, gallery_url: str) -> None:
    page, complaints = open_page(chromium, f"{gallery_url}/gallery/sample")
    assert not page.locator("[data-from-disk]").is_visible()
    assert complaints == []
    page.context.close()
