"""The running service in a real browser: verification of a real sample, the blocked release, a run, a model, a report."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from provenance.store.jobs import update_job
from provenance.store.session import write_session
from provenance.training.launch import run_folder
from tests.browser.open import open_page, verify_in
from tests.dashboard import LIVE_RUN, Dashboard, serve_filled
from tests.dashboard_run import RUN, append_event, step_event

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    yield from serve_filled(tmp_path_factory.mktemp("dashboard"))


def list_pages(dashboard: Dashboard) -> list[str]:
    return [
        "/", "/samples", "/samples?q=zzz", f"/samples/{dashboard.first_openai}", f"/samples/{dashboard.hostile}",
        "/sources", "/sources/openai", "/policies", "/decisions", f"/decisions/{dashboard.blocked_decision}",
        "/releases", "/releases/tutor@1", "/releases/tutor-gpt4o@1", "/runs", f"/runs/{RUN}", "/models",
        "/models/mdl_done", "/models/openai/gpt-4o", "/reports", "/reports/new", f"/reports/{dashboard.report}",
        "/log", f"/log/entries/{dashboard.hostile}", "/search?q=tutor",
    ]  # fmt: skip


def test_no_page_breaks_its_security_policy_or_is_wider_than_a_small_screen(
    chromium: Browser, dashboard: Dashboard
) -> None:
    wrong = {}
    for path in list_pages(dashboard):
        page, complaints = open_page(chromium, dashboard.url + path)
        page.set_viewport_size({"width": 320, "height": 800})
        page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true; })")
        width = page.evaluate("document.documentElement.scrollWidth")
        if complaints or width > 320:
            wrong[path] = (complaints, width)
        page.context.close()
    assert wrong == {}


def test_every_link_of_the_dashboard_leads_somewhere(chromium: Browser, dashboard: Dashboard) -> None:
    broken = {}
    checked: set[str] = set()
    for path in list_pages(dashboard):
        page, _ = open_page(chromium, dashboard.url + path, scripts=False)
        links = page.locator("a[href]").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        for link in {item.partition("#")[0] for item in links} - {""} - checked:
            checked.add(link)
            status = dashboard.get(link).status_code
            if status not in {200, 307}:
                broken[link] = (path, status)
        page.context.close()
    assert broken == {}


@pytest.mark.parametrize("which", ["first_openai", "hostile"])
def test_a_real_sample_verifies_in_this_browser(chromium: Browser, dashboard: Dashboard, which: str) -> None:
    page, complaints = open_page(chromium, f"{dashboard.url}/samples/{getattr(dashboard, which)}")
    outcome, steps = verify_in(page)
    assert outcome.startswith("All 5 checks passed in this browser")
    assert set(steps.values()) == {"Verified"}
    assert complaints == []
    page.context.close()


def flip_base64(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def alter(evidence: dict[str, Any], what: str) -> dict[str, Any]:
    if what == "record":
        entry = base64.b64decode(evidence["entry"]).replace(b'"dataset":"tutor"', b'"dataset":"tudor"')
        evidence["entry"] = base64.b64encode(entry).decode()
    elif what == "signature":
        evidence["batch"]["entry"] = flip_base64(evidence["batch"]["entry"])
    elif what == "inclusion":
        lines = evidence["proof"].split("\n")
        lines[2] = flip_base64(lines[2])
        evidence["proof"] = "\n".join(lines)
    elif what == "checkpoint":  # the log claims one entry more than was signed
        grown = re.compile(r"(\n\n[^\n]+\n)(\d+)\n")
        evidence["proof"] = grown.sub(lambda found: f"{found[1]}{int(found[2]) + 1}\n", evidence["proof"], count=1)
    else:
        evidence["opening"]["prompt"][0]["content"] += "."
    return evidence


@pytest.mark.parametrize("what", ["record", "signature", "inclusion", "checkpoint", "text"])
def test_evidence_that_is_altered_on_its_way_fails(chromium: Browser, dashboard: Dashboard, what: str) -> None:
    page, _ = open_page(chromium, f"{dashboard.url}/samples/{dashboard.first_openai}")

    def meddle(route: Route) -> None:
        evidence = alter(route.fetch().json(), what)
        route.fulfill(body=json.dumps(evidence), content_type="application/json")

    page.route("**/evidence.json", meddle)
    outcome, steps = verify_in(page)
    assert outcome.startswith("Verification failed in this browser")
    # An altered record is a good record of something else: what fails is that the log and the batch hold it.
    assert {steps[name] for name in (("signature", "inclusion") if what == "record" else (what,))} == {"Failed"}
    page.context.close()


def test_the_blocked_release_shows_the_clause_and_what_would_unblock_it(
    chromium: Browser, dashboard: Dashboard
) -> None:
    page, _ = open_page(chromium, dashboard.url, scripts=False)
    page.get_by_role("link", name="tutor-gpt4o@1").click()
    assert "Blocked" in page.locator(".answer").inner_text()
    assert "clause 3.3(e)" in page.locator("section", has_text="Quarantined (40)").last.inner_text()
    page.get_by_role("link", name="See the decision and what would unblock the others").click()
    assert "3.3(e)" in page.locator(".answer").inner_text()
    unblock = page.locator("section[aria-labelledby=unblock]").inner_text()
    assert "Make an agreement with openai" in unblock
    assert "Allowed" in unblock
    page.locator(".answer").get_by_role("link", name="openai-services-agreement-2026-01-01").click()
    assert page.url.endswith("/sources/openai#openai-services-agreement-2026-01-01")
    page.context.close()


def test_a_run_shows_its_loss_and_leads_to_the_model_and_its_conditions(
    chromium: Browser, dashboard: Dashboard
) -> None:
    page, complaints = open_page(chromium, f"{dashboard.url}/runs/{RUN}")
    points = (page.locator("polyline").get_attribute("points") or "").split()
    assert len(points) == 48
    first, last = (float(point.partition(",")[2]) for point in (points[0], points[-1]))
    assert first < last  # the loss falls: y grows downwards
    assert "It is no assistant" in page.locator("section[aria-labelledby=limits]").inner_text()
    page.get_by_role("link", name="Open the model").click()
    assert "Blocked" in page.locator(".answer").inner_text()
    conditions = page.locator("section[aria-labelledby=publishing]").inner_text()
    assert "name-prefix" in conditions
    assert "Unmet" in conditions
    assert complaints == []
    page.context.close()


def test_a_live_run_grows_without_a_reload_and_ends_on_the_servers_page(
    chromium: Browser, dashboard: Dashboard
) -> None:
    output = run_folder(dashboard.runtime, LIVE_RUN) / "out"
    page, complaints = open_page(chromium, f"{dashboard.url}/runs/{LIVE_RUN}")
    assert len((page.locator("polyline").get_attribute("points") or "").split()) == 2
    append_event(output, step_event(3, 40))
    append_event(output, step_event(4, 40))
    page.locator("[data-live=step]", has_text=re.compile(r"^4$")).wait_for()
    drawn = page.locator("polyline").get_attribute("points")
    assert len((drawn or "").split()) == 4
    page.reload()
    assert page.locator("polyline").get_attribute("points") == drawn  # the server draws the same
    with write_session(dashboard.runtime.engine) as session:
        update_job(session, LIVE_RUN, now="2026-11-24T10:00:00Z", state="cancelled")
    page.locator(".tag", has_text="Cancelled").wait_for()
    assert page.locator("[data-pause]").count() == 0
    assert complaints == []
    page.context.close()


def test_a_report_opens_under_its_own_security_policy(chromium: Browser, dashboard: Dashboard) -> None:
    page, _ = open_page(chromium, f"{dashboard.url}/reports/{dashboard.report}")
    assert "9 of them not recorded and said so" in page.locator(".answer").inner_text()
    page.context.close()
    page, complaints = open_page(chromium, f"{dashboard.url}/reports/{dashboard.report}.html")
    assert page.get_by_role("heading", level=1).is_visible()
    assert "competing" in page.locator("body").inner_text()
    assert page.evaluate("getComputedStyle(document.body).fontFamily") != "serif"
    assert complaints == []
    page.context.close()


def test_filters_and_pages_work_without_scripts(chromium: Browser, dashboard: Dashboard) -> None:
    page, _ = open_page(chromium, f"{dashboard.url}/samples", scripts=False)
    page.get_by_label("meta/llama-3.1-8b-instruct").check()
    page.get_by_role("button", name="Apply filters").click()
    assert page.locator("tbody tr").count() == 40
    page.get_by_role("link", name="Remove filter Teacher: meta/llama-3.1-8b-instruct").click()
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Older").click()
    assert page.locator("tbody tr").count() == 11
    assert page.get_by_role("link", name="Older").count() == 0
    page.get_by_role("link", name="Newer").click()
    assert page.locator("tbody tr").count() == 50
    page.context.close()


def test_what_needs_a_script_is_explained_without_one(chromium: Browser, dashboard: Dashboard) -> None:
    page, _ = open_page(chromium, f"{dashboard.url}/samples/{dashboard.first_openai}", scripts=False)
    assert "This check needs JavaScript" in page.locator(".outcome").inner_text()
    page.get_by_text("Without this site").click()
    assert page.get_by_text(f"provenance verify sample-{dashboard.first_openai}.zip").is_visible()
    assert page.locator("[data-copy]:visible").count() == 0
    page.context.close()


def test_hostile_words_of_a_sample_are_only_text(chromium: Browser, dashboard: Dashboard) -> None:
    page, complaints = open_page(chromium, f"{dashboard.url}/samples/{dashboard.hostile}")
    page.get_by_text("Show prompt and completion").click()
    assert page.locator("pre.text script, pre.text img").count() == 0
    assert page.locator("pre.text .mark", has_text="U+202E").first.is_visible()
    assert complaints == []
    page.context.close()
