"""One Chromium for the session. Where it is missing the lane says so by name, and `make test-browser` fails."""

from __future__ import annotations

import os

import pytest

from tests.browser.console import chromium, why_not


@pytest.fixture(scope="session")
def lane():
    """What the lane needs: absent by name where it is not there, and a failure where it must be."""
    missing = why_not()
    if missing:
        (pytest.fail if os.environ.get("GAMEDAY_BROWSER") == "must" else pytest.skip)(missing)


@pytest.fixture(scope="session")
def browser(lane):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"], timeout=120_000)
        yield found
        found.close()


@pytest.fixture
def people(browser):
    """Makes people: each a browser of their own. What a page complains of fails the test."""
    contexts, troubles = [], []

    def come(link, **looks):
        looks.setdefault("viewport", {"width": 1440, "height": 900})
        context = browser.new_context(**looks)
        context.set_default_timeout(40_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda said: (
                troubles.append(f"{said.text} {said.location.get('url')}")
                if said.type == "error" and "ERR_" not in said.text and "409" not in said.text
                else None
            ),
        )
        page.goto(link)
        page.locator(
            "#link", has_text="connected"
        ).wait_for()  # Before it the page is there, and does nothing.
        return page

    yield come
    for context in contexts:
        context.close()
    assert not troubles, troubles
