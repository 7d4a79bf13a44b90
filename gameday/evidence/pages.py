"""A page for people, and its two renderings: Markdown for a wiki, HTML for a printer.

Every text on a page comes from plans, histories and notes, which means from strangers. It is made harmless
here, once, for both: a note never becomes markup, a mention of somebody, or a line of its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gameday.evidence.words import shown

TEXT_MAX = 2000
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$^{}])|(?<=[a-zA-Z])(:)(?=//)|(?<=www)(\.)")
_BEGINS = re.compile(r"\A(\s*)(?:([-+=#>:])|(\d+)([.)]))")
_REFERENCE = re.compile(r"(@|#|!)(?=[A-Za-z0-9_])")
_APART = "\u2060"  # A word joiner: it shows nothing, and no tracker sees a mention past it.
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b2024;max-width:48rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .3rem} h2{font-size:1.1rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #ccc}
.label{font-weight:700;letter-spacing:.04em;color:#8a3b00} table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e3e8eb}
li{margin:.15rem 0} @media print{body{margin:0;max-width:none} h2{break-after:avoid} tr{break-inside:avoid}}
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with sentences, points, and a table below it, each of which may be missing."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing below the heading."""
        return not (self.sentences or self.points or self.rows)


@dataclass(frozen=True, slots=True)
class Page:
    """A title, a line in capitals where somebody must look twice, and sections."""

    title: str
    label: str
    sections: tuple[Section, ...]


def markdown(page: Page) -> str:
    """Return the page as Markdown (CommonMark, with the tables of GitHub and GitLab)."""
    return "\n".join([*_lines(page), ""])


def _lines(page: Page) -> Iterator[str]:
    yield f"# {inline(page.title)}"
    if page.label:
        yield from ("", f"**{inline(page.label)}**")
    for section in page.sections:
        if section.is_empty:
            continue
        yield from ("", f"## {inline(section.title)}")
        for sentence in section.sentences:
            yield from ("", block(sentence))
        if section.points:
            yield ""
            yield from (f"- {block(point)}" for point in section.points)
        if section.rows:
            yield ""
            yield f"| {' | '.join(map(inline, section.columns))} |"
            yield f"|{' --- |' * len(section.columns)}"
            yield from (f"| {' | '.join(map(inline, row))} |" for row in section.rows)


def inline(text: str) -> str:
    """Return a text of strangers as Markdown that shows just that text, on one line."""
    escaped = _MARKUP.sub(r"\\\g<0>", shown(text, TEXT_MAX))
    return _REFERENCE.sub(rf"\1{_APART}", escaped)


def block(text: str) -> str:
    """Return the same for the beginning of a line, where more is markup."""
    return _BEGINS.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[1]}{m[3]}\\{m[4]}", inline(text).strip())


def as_html(page: Page) -> str:
    """Return the page as one HTML file that loads nothing from anywhere."""
    body = "\n".join(_html(page))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(page.title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _html(page: Page) -> Iterator[str]:
    yield f"<h1>{_text(page.title)}</h1>"
    if page.label:
        yield f'<p class="label">{_text(page.label)}</p>'
    for section in page.sections:
        if section.is_empty:
            continue
        yield f"<h2>{_text(section.title)}</h2>"
        yield from (f"<p>{_text(sentence)}</p>" for sentence in section.sentences)
        if section.points:
            yield f"<ul>{''.join(f'<li>{_text(point)}</li>' for point in section.points)}</ul>"
        if section.rows:
            heads = "".join(f"<th>{_text(name)}</th>" for name in section.columns)
            yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
            for row in section.rows:
                yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>"
            yield "</tbody></table>"


def _text(text: str) -> str:
    return html.escape(shown(text, TEXT_MAX))
