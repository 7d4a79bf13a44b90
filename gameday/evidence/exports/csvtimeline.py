"""The timeline as CSV, one row a record: for a spreadsheet, where auditors sort and sample.

A spreadsheet takes a cell that begins with = + - @ (their wide forms too) or a tab for a formula, and
names in here come from strangers: such a cell gets an apostrophe before it, which spreadsheets show as text.
"""

from __future__ import annotations

import csv
import io

from gameday.evidence.casefile import Case
from gameday.evidence.narrate import narrate
from gameday.evidence.words import shown

COLUMNS = ("record", "seconds", "utc", "actor", "kind", "topic", "what")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_timeline(case: Case) -> str:
    """Return the timeline as CSV with a heading (RFC 4180, UTF-8, lines end with CR LF)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for record in case.trace.records:
        topic, what = narrate(case.plan, record.event) or ("", "")
        kind = type(record.event).__name__
        seconds = f"{record.at_ns / 1e9:.9f}" if record.at_ns >= 0 else f"'{record.at_ns / 1e9:.9f}"
        cells = (record.utc, record.actor, kind, topic, what)
        writer.writerow((record.seq, seconds, *(harmless(cell) for cell in cells)))
    return text.getvalue()


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = shown(cell, 4000)
    # Blanks before the sign are skipped by some, so they count for nothing here either.
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
