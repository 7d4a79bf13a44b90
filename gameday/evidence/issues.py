"""A tracked finding as others keep it: an issue of GitHub, GitLab or Jira, a row of CSV, a table of Markdown.

An issue carries a mark that is made of how the finding began, so the same finding is known again whoever
exports it, from whichever copy of the project. No text of a finding becomes markup, a mention or a formula.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gameday.evidence.exports.csvtimeline import harmless
from gameday.evidence.pages import Page, Section, inline, markdown
from gameday.evidence.tracking import Tracked
from gameday.evidence.words import shown

COLUMNS = ("id", "severity", "state", "owner", "due", "service", "plan", "finding", "why", "runs", "retest")
TITLE_MAX = 200
_JIRA = re.compile(r"([\\{}\[\]*_^~+|!?#@:()-])")


@dataclass(frozen=True, slots=True)
class Issue:
    """What a tracker is asked to keep. `mark` is how it is known again; `lines` are (label, text)."""

    finding: str
    mark: str
    title: str
    lines: tuple[tuple[str, str], ...]
    due: str

    def as_markdown(self) -> str:
        """Return the text of the issue for GitHub and GitLab, with its mark at the end."""
        told = "\n".join(f"- {label}: {inline(value)}" for label, value in self.lines)
        return f"{told}\n\ngameday-finding-{self.mark}\n"

    def as_jira(self) -> str:
        """Return the text in Jira's own markup, in which nothing of it is markup."""
        told = "\n".join(f"{label}: {_JIRA.sub(_escaped, shown(value, 2000))}" for label, value in self.lines)
        return f"{told}\n\ngameday-finding-{self.mark}"


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[1]}"


def issue_of(item: Tracked, today: str) -> Issue:
    """Return a finding as an issue."""
    first = item.history[0]
    begun = f"{first.at_utc}\0{first.by}\0{item.added.run}\0{item.added.plan}\0{item.added.name}"
    lines = [
        ("Finding", f"{item.id}: {item.added.name}"),
        ("Verdict", item.verdict),
        ("Why", item.why),
        ("Service", item.added.service),
        ("Plan", item.added.plan),
        ("Seen in", ", ".join(item.runs)),
        ("Severity", item.severity),
        ("Owner", item.owner or "nobody yet"),
        ("Due", item.due or "no day yet"),
        ("State", item.words(today)),
        ("Closed by", "a later run of the same plan in which it passes: gameday finding close --retest RUN"),
    ]
    title = shown(f"[{item.severity}] {item.added.name} ({Path(item.added.plan).stem})", TITLE_MAX)
    mark = hashlib.sha256(begun.encode()).hexdigest()[:20]
    return Issue(item.id, mark, title, tuple(lines), item.due)


def as_csv(items: Iterable[Tracked], today: str) -> str:
    """Return findings as CSV with a heading (RFC 4180), in which no cell is a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([harmless(cell) for cell in _cells(item, today)] for item in items)
    return text.getvalue()


def findings_section(items: Iterable[Tracked], today: str, title: str = "Findings") -> Section:
    """Return findings as a table of a page."""
    return Section(title, columns=COLUMNS, rows=tuple(_cells(item, today) for item in items))


def as_markdown(items: Iterable[Tracked], today: str) -> str:
    """Return findings as a page of Markdown."""
    section = findings_section(items, today)
    empty = Section("Findings", ("None is open.",))
    return markdown(Page("Findings", f"as of {today}", (empty if section.is_empty else section,)))


def _cells(item: Tracked, today: str) -> tuple[str, ...]:
    retest = item.closed.retest if item.closed else ""
    return (
        item.id,
        item.severity,
        item.words(today),
        item.owner,
        item.due,
        item.added.service,
        item.added.plan,
        item.added.name,
        item.why,
        " ".join(item.runs),
        retest,
    )
