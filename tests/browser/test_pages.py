"""Every example page in a real browser: nothing blocked, nothing wider than a small screen, hostile text only text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.api.examples import EXAMPLES
from tests.browser.open import open_page, verify_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

NAMES = sorted(EXAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_breaks_no_rule_of_its_security_policy_and_fits_a_small_screen(
    chromium: Browser, gallery_url: str, name: str
) -> None:
    page, complaints = open_page(chromium, f"{gallery_url}/gallery/{name}")
    page.evaluate("document.fonts.ready")
    assert page.evaluate("[...document.fonts].every(font => font.status !== 'error')")
    page.set_viewport_size({"width": 320, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize("name", ["sample", "decision", "release", "run", "report-guide"])
def test_a_page_can_be_read_without_scripts(chromium: Browser, gallery_url: str, name: str) -> None:
    page, _ = open_page(chromium, f"{gallery_url}/gallery/{name}", scripts=False)
    assert page.get_by_role("heading", level=1).is_visible()
    assert page.locator("[data-copy]:visible").count() == 0  # what needs a script is not offered
    page.context.close()


def test_hostile_text_of_a_sample_stays_text(chromium: Browser, gallery_url: str) -> None:
    page, complaints = open_page(chromium, f"{gallery_url}/gallery/sample")
    page.get_by_text("Show prompt and completion").click()
    assert page.locator("pre.text script, pre.text img").count() == 0
    assert page.locator("pre.text .mark", has_text="U+202E").first.is_visible()
    assert page.locator("pre[dir=auto]").count() == 2
    assert complaints == []
    page.context.close()


def test_a_true_sample_verifies_step_by_step(chromium: Browser, gallery_url: str) -> None:
    page, complaints = open_page(chromium, f"{gallery_url}/gallery/sample")
    assert page.locator(".state").all_inner_texts() == ["Not checked"] * 5
    outcome, steps = verify_in(page)
    assert outcome.startswith("All 5 checks passed in this browser")
    assert set(steps.values()) == {"Verified"}
    assert "not pinned" in page.locator("[data-trust]").inner_text()
    assert complaints == []
    page.context.close()


def test_an_altered_record_fails_where_it_was_altered(chromium: Browser, gallery_url: str) -> None:
    page, _ = open_page(chromium, f"{gallery_url}/gallery/sample-altered")
    outcome, steps = verify_in(page)
    assert outcome.startswith("Verification failed")
    assert {steps["signature"], steps["inclusion"]} == {"Failed"}
    assert steps["checkpoint"] == "Verified"  # a failed step hides no other
    page.context.close()


def test_evidence_of_another_sample_is_refused(chromium: Browser, gallery_url: str) -> None:
    page, _ = open_page(chromium, f"{gallery_url}/gallery/sample-other")
    outcome, steps = verify_in(page)
    assert "not of this sample" in outcome
    assert set(steps.values()) == {"Not checked"}
    page.context.close()


def test_a_pinned_key_is_kept_and_a_changed_one_is_said(chromium: Browser, gallery_url: str) -> None:
    page, _ = open_page(chromium, f"{gallery_url}/gallery/sample")
    page.get_by_role("button", name="Pin this key").click()
    page.reload()
    assert "Pinned by you on" in page.locator("[data-trust]").inner_text()
    outcome, _ = verify_in(page)
    assert outcome.startswith("All 5 checks passed")
    page.evaluate("""() => { for (const key of Object.keys(localStorage)) {
        const pinned = JSON.parse(localStorage[key]); pinned.vkey = pinned.vkey.replace(/.$/, "_");
        localStorage[key] = JSON.stringify(pinned); } }""")
    page.reload()
    assert "Not the key that you pinned" in page.locator("[data-trust]").inner_text()
    _, steps = verify_in(page)
    assert steps["checkpoint"] == "Failed"
    page.context.close()


def test_live_numbers_and_the_plot_grow_by_events(chromium: Browser, gallery_url: str) -> None:
    page, _ = open_page(chromium, f"{gallery_url}/gallery/run-live")
    page.locator("[data-live=step]", has_text=re.compile(r"^318$")).wait_for()
    points = page.locator("polyline").get_attribute("points") or ""
    assert points.endswith("530.0,560.4")  # step 318 of 600, loss 2.11 under a top of 4.8
    page.get_by_role("button", name="Pause updates").click()
    assert page.get_by_role("button", name="Resume updates").is_visible()
    assert page.locator("polyline").get_attribute("points") == points  # an event that comes twice is drawn once
    page.context.close()


def test_a_sample_is_found_and_opened_by_keyboard(chromium: Browser, gallery_url: str) -> None:
    page, _ = open_page(chromium, f"{gallery_url}/gallery/samples")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/samples/351"
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.locator("#find").input_value() == "jk"  # inside a field, keys are letters
    page.context.close()


def test_every_status_is_told_apart_without_colour(chromium: Browser, gallery_url: str) -> None:
    page, _ = open_page(chromium, f"{gallery_url}/gallery/decision")
    tags = page.locator(".tag").evaluate_all(
        "tags => tags.map(tag => [tag.textContent.trim(), tag.querySelector('svg').innerHTML])"
    )
    words = {word for word, _ in tags}
    assert words >= {"Blocked", "Allowed", "Needs review", "Met", "Unmet", "Unknown"}
    assert all(word and shape for word, shape in tags)
    assert len({shape for word, shape in tags if word in {"Blocked", "Allowed", "Needs review", "Unknown"}}) == 4
    page.context.close()
