"""Pages from templates: everything is escaped, and what would not print is spelt out."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from gameday.evidence.words import shown


@cache
def template(name: str) -> Template:
    """Return a template of this room."""
    environment = Environment(
        loader=PackageLoader("gameday", "evidence"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def stylesheet() -> bytes:
    """Return the sheet that report and scorecard share, for a server that sends it as a file of its own."""
    return (Path(__file__).parent / "report.css").read_bytes()


def _harmless(value: object) -> object:
    """Let no text through that would not print or would turn the reading direction around."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value  # Markup is what a template's own macros made; every value in it came through here.
    return shown(value, 1 << 20)
