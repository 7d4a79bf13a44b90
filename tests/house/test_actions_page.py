"""docs/actions.md says what the code offers: `gameday actions --markdown` makes it."""

from __future__ import annotations

from pathlib import Path

from gameday.cli.actions import page
from gameday.hosts.extensions import extensions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "actions.md"


def test_the_reference_page_is_in_step():
    assert PAGE.read_text() == page(extensions()), "`gameday actions --markdown > docs/actions.md`"
