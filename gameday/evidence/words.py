"""The words and figures that every rendering of a run shares, so that no two name one thing twice.

Names, details and errors come from plans and from targets, which means from strangers. `shown` makes
any text safe to look at: what would not print, or would turn the reading direction around, is spelt
out. It does not escape for HTML (the template does) nor for a terminal's markup (rich `Text` does).
"""

from __future__ import annotations

import unicodedata

from gameday.plan.limitwords import limit_words, time_words
from gameday.plan.loadwords import begin_words
from gameday.plan.model import NS, Load, LoadChange, Plan, StopCondition

TEXT_MAX = 600

OUTCOME_WORDS = {
    "completed": "ran to its end",
    "halted": "was halted",
    "crashed": "crashed: its runner died",
    "refused": "was refused before any effect",
    "running": "is still running",
}
WHY_UNDONE = {
    "halt": "the run was halted",
    "ttl": "its time to live was over",
    "for": "its time was over",
    "end": "the steps had ended",
    "step": "the runbook asked for it",
    "lost": "the runner was gone",
}
READ_BACK_WORDS = {"after-failover": "after the failover", "end": "at the end"}


def shown(text: object, most: int = TEXT_MAX) -> str:
    """Return a text that can do no harm to its reader, of at most `most` characters."""
    whole = str(text)
    clipped = whole if len(whole) <= most else f"{whole[: most - 1]}…"
    if clipped.isprintable():
        return clipped
    return "".join(char if char.isprintable() else _spelt(char) for char in clipped)


def _spelt(char: str) -> str:
    if char in "\n\r\t" or unicodedata.category(char) == "Zs":
        return " "
    return f"\\u{ord(char):04x}"


def span(duration_ns: int | None) -> str:
    """Return a measured duration, with the digits that are worth reading."""
    if duration_ns is None:
        return "unknown"
    if abs(duration_ns) < NS // 100:
        return f"{duration_ns / 1e6:.1f} ms"
    if abs(duration_ns) < NS:
        return f"{duration_ns / 1e6:.0f} ms"
    if abs(duration_ns) < 120 * NS:
        return f"{duration_ns / NS:.2f} s"
    minutes, seconds = divmod(round(duration_ns / NS), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def limit(duration_ns: int | None) -> str:
    """Return a planned duration the way a person would say it: `30 s`, `5 min`."""
    if duration_ns is None:
        return "none"
    return time_words(duration_ns)


def at(at_ns: int | None) -> str:
    """Return an instant of the run."""
    return "" if at_ns is None else f"+{at_ns / NS:.2f} s"


def percent(ppm: int) -> str:
    """Return a share given in parts per million."""
    return f"{ppm / 10_000:g} %"


def count(number: int, noun: str) -> str:
    """Return a count with its noun, `1 fault`, `2 faults`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def condition(stop: StopCondition) -> str:
    """Return the limit that a stop condition sets, in words."""
    return limit_words(stop)


def load_words(change: LoadChange) -> str:
    """Return what a load is asked to do: a rate (open loop) or users (closed loop)."""
    if change.rate_per_1000s is not None:
        return f"{change.rate_per_1000s / 1000:g} requests/s"
    if change.users is None:
        return "the shape of its own"
    return count(change.users, "user")


def begins_at(load: Load) -> str:
    """Return what a load begins with: a rate, users, stages, or the shape in its own file."""
    if load.stages or load.shape:
        return begin_words(load)
    return load_words(LoadChange(load.name, load.rate_per_1000s, load.users))


def name_of(plan: Plan, step_id: str) -> str:
    """Return the name a person gave to a step; its id when the plan does not know it."""
    return next((step.name for step in plan.steps if step.id == step_id), step_id)
