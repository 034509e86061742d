"""Opening a page and pressing its button, as the browser tests do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def open_page(browser: Browser, url: str, *, scripts: bool = True) -> tuple[Page, list[str]]:
    """The page, and what the browser complained about while it loaded."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, java_script_enabled=scripts)
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"a dialog opened: {dialog.message}"))
    page.goto(url, wait_until="load")
    return page, complaints


def verify_in(page: Page) -> tuple[str, dict[str, str]]:
    """Press the button; the outcome in words, and each step's state."""
    page.get_by_role("button", name="Verify in this browser").click()
    # Not `wait_for_function`: it evaluates text again and again, which the page's security policy forbids.
    page.locator(".outcome", has_text=re.compile(r"\d ms|failed|could not", re.IGNORECASE)).wait_for()
    steps = page.locator(".checks li").evaluate_all(
        "items => items.map(item => [item.dataset.step, item.querySelector('.state').textContent])"
    )
    return page.locator(".outcome").inner_text(), dict(steps)
