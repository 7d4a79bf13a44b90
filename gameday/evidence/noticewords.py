"""What a notice says: purpose, scope, how to halt; at the end what it came to. Not what is coming."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.evidence.briefing import HALT, purpose, safe_title, scope
from gameday.evidence.words import OUTCOME_WORDS, limit, shown
from gameday.history.events import Halted
from gameday.plan.lasting import longest_ns
from gameday.plan.model import NS, Plan

FINDINGS_MAX = 8


def before(plan: Plan, at: str) -> tuple[str, str]:
    """Return title and text of the notice before a drill; `at` says when, or is empty."""
    when = f"It is planned for {at}." if at else "When, the commander says."
    return _told(f"DRILL planned: {safe_title(plan)}", plan, [when])


def start(plan: Plan, run: str) -> tuple[str, str]:
    """Return title and text of the notice at the start."""
    at_most = limit(longest_ns(plan) // NS * NS)
    said = [f"It begins now (run {run}) and takes {at_most} at the longest. This is a drill, no incident."]
    return _told(f"DRILL begins: {safe_title(plan)}", plan, said)


def halt(plan: Plan, run: str, event: Halted) -> tuple[str, str]:
    """Return title and text of the notice on a halt."""
    said = [f"It was halted by {event.by}: {event.reason}.", f"Every fault is being taken back (run {run})."]
    return _told(f"DRILL HALTED: {safe_title(plan)}", plan, said)


def end(plan: Plan, run: str, outcome: str, document: Mapping[str, Any]) -> tuple[str, str]:
    """Return title and text of the notice at the end, when nothing need be hidden any more.

    `document` is the run's findings.json; empty where it could not be read.
    """
    verdict = str(document.get("verdict", "not known yet")).replace("_", " ")
    ended = OUTCOME_WORDS.get(outcome, outcome)
    said = [f"The drill “{plan.title}” {ended} (run {run}). Verdict: {verdict}."]
    if document.get("stuck"):
        said.append("A PERSON IS NEEDED: an undo is stuck, a fault may still be in place.")
    if document.get("failed_over"):
        said.append("A PERSON IS NEEDED: service was left failed over.")
    for item in list(document.get("findings") or ())[:FINDINGS_MAX]:
        observed = f": {item.get('observed')} {item.get('unit', '')}".rstrip(": ")
        said.append(f"{str(item.get('verdict', '')).upper()}  {item.get('name')}{observed}")
    said += [purpose(plan), scope(plan)]
    return shown(f"DRILL over, {verdict}: {safe_title(plan)}"), "\n".join(map(shown, said))


def _told(title: str, plan: Plan, said: list[str]) -> tuple[str, str]:
    lines = [*said, f"Purpose: {purpose(plan)}", f"Scope: {scope(plan)}", *HALT]
    return shown(title), "\n".join(map(shown, lines))
