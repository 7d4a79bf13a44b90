"""A drill as a calendar entry (RFC 5545): one event, which gives nothing of the plan away.

The same plan at the same time is the same event: a calendar that has it already replaces it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from gameday import __version__
from gameday.evidence.briefing import HALT, lasts_ns, purpose, safe_title, scope
from gameday.evidence.words import shown
from gameday.plan.model import NS, Plan
from gameday.plan.policy import Policy
from gameday.plan.stored import plan_digest

OCTETS_MAX = 75
_FORM = "%Y%m%dT%H%M%SZ"


def calendar(plan: Plan, policy: Policy, at: datetime, now: datetime) -> str:
    """Return the calendar file of a drill at `at`, made at `now`; both know their time zone.

    Source: RFC 5545, 3.1 (lines end with CR LF and hold at most 75 octets), 3.3.11 (text), 3.6.1 (event).
    """
    begins, digest = at.astimezone(UTC), plan_digest(plan)
    ends = begins + timedelta(seconds=lasts_ns(plan, policy) // NS)
    name = hashlib.sha256(f"{digest} {begins:{_FORM}}".encode()).hexdigest()[:32]
    told = [purpose(plan), scope(plan), *HALT, f"Plan digest {digest}."]
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//gameday//gameday {__version__}//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        f"UID:{name}@gameday",
        f"DTSTAMP:{now.astimezone(UTC):{_FORM}}",
        f"DTSTART:{begins:{_FORM}}",
        f"DTEND:{ends:{_FORM}}",
        f"SUMMARY:{text(safe_title(plan))}",
        "DESCRIPTION:" + r"\n".join(map(text, told)),
        f"LOCATION:{text(plan.target.environment)}",
        "CATEGORIES:DRILL",
        "STATUS:CONFIRMED",
        "TRANSP:OPAQUE",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(f"{folded(line)}\r\n" for line in lines)


def text(value: str) -> str:
    """Return a text of strangers as a value of type TEXT, in which nothing ends the line."""
    safe = shown(value, 2000).replace("\\", "\\\\")
    return safe.replace(";", r"\;").replace(",", r"\,")


def folded(line: str) -> str:
    """Return a content line in parts of at most 75 octets, never cut inside a character."""
    parts: list[str] = []
    part = ""
    for char in line:
        room = OCTETS_MAX - bool(parts)  # A part after the first begins with a blank.
        if len((part + char).encode()) > room:
            parts.append(part)
            part = ""
        part += char
    return "\r\n ".join([*parts, part])
