"""The one way into the deciding thread: a queue of (at_ns, event).

Threads and readers put what they saw here and never decide anything themselves. `at_ns` is the
instant the event happened, on the run's clock, not the instant it is read from the queue.
"""

from __future__ import annotations

import queue

from gameday.history.events import Reported

Inbox = queue.SimpleQueue[tuple[int, Reported]]


def new_inbox() -> Inbox:
    """Return an empty inbox."""
    return queue.SimpleQueue()
