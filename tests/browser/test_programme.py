"""The programme page in real Chromium: light, dark, on a phone, and by axe."""

from __future__ import annotations

import pytest

from tests.browser.console import ConsoleProcess, axe, picture
from tests.programme.made import make_programme

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_programme_page(people, tmp_path):
    project = make_programme(tmp_path)
    console = ConsoleProcess(project)
    try:
        page = people(console.link)
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="The programme of drills").click()
        programme = opened.value
        programme.get_by_role("heading", name="Scorecard").wait_for()
        took_ms = programme.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"the page of forty drills in Chromium: {took_ms:.0f} ms until it was loaded")
        assert programme.locator("svg.spark").count() >= 4
        axe(programme, "programme")
        picture(programme, "programme")
        programme.emulate_media(color_scheme="dark")
        programme.set_viewport_size({"width": 390, "height": 844})
        axe(programme, "programme-phone-dark")
        picture(programme, "programme-phone-dark")
    finally:
        console.kill()
