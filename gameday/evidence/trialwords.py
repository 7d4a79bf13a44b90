"""The events of a capacity sign-off in words, as they come."""

from __future__ import annotations

from gameday.history.capacityevents import ArtefactRead, StepSkipped, TrialEnded, TrialStarted
from gameday.history.events import Command, Report

_TOPIC = {"holds": "holds", "fails": "FAILS", "undecided": "undecided"}


def trial_words(event: Command | Report) -> tuple[str, str] | None:
    """Return (topic, words) for an event of a sign-off; None for any other."""
    match event:
        case ArtefactRead():
            return "artefact", f"{event.digest} (from {event.source})"
        case TrialStarted():
            calm = "" if event.settled else "; the target was NOT calm before it"
            return "trial", f"{event.number} at {event.rate_per_1000s / 1000:g}/s, {event.purpose}{calm}"
        case TrialEnded():
            return _TOPIC.get(event.verdict, event.verdict), f"trial {event.number}: {event.reason}"
        case StepSkipped():
            return "skipped", f"{event.step}: {event.reason}"
        case _:
            return None
