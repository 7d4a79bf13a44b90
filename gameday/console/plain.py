"""A drill as plain lines: one for each thing that happened, in words, for logs and pipes.

+ 12.31s  fault     primary database dies: injected, read back in place
"""

from __future__ import annotations

from gameday.evidence.narrate import narrate
from gameday.history.record import Record
from gameday.plan.model import Plan


def line_of(plan: Plan, record: Record) -> str | None:
    """Return the line for one record; None for what a person need not read."""
    said = narrate(plan, record.event)
    if said is None:
        return None
    topic, words = said
    return f"+{record.at_ns / 1e9:6.2f}s  {topic:9} {words}"
