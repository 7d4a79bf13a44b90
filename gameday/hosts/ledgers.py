"""All ledgers of a run as one: they fall silent together, so that what they hold can be compared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gameday.history.events import SyntheticPurged
from gameday.history.redact import NOTHING, Redactor
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.ledger import LedgerWriter
from gameday.plan.model import Ledger


class Ledgers:
    """The writers of all ledgers. They share one file, to which each appends whole lines."""

    def __init__(
        self,
        ledgers: tuple[Ledger, ...],
        *,
        folder: Path,
        project: Path,
        clock: RunClock,
        inbox: Inbox,
        redact: Redactor = NOTHING,
    ) -> None:
        """Open all of them.

        Raises:
            Refused: One of them cannot be opened.
        """
        self._clock = clock
        self._inbox = inbox
        self._stack = ExitStack()
        self._writers: list[LedgerWriter] = []
        with ExitStack() as stack:
            for ledger in ledgers:
                writer = LedgerWriter(
                    ledger,
                    run=folder.name,
                    path=folder / "segments" / "ledger.jsonl",
                    clock=clock,
                    inbox=inbox,
                    project=project,
                    log_dir=folder / "hosts",
                    redact=redact,
                )
                self._writers.append(writer)
                stack.callback(writer.stop)
            for writer in self._writers:
                writer.arm()
            self._stack = stack.pop_all()

    def pids(self) -> Iterator[tuple[str, int]]:
        """Yield the processes that write, each with its name."""
        for writer in self._writers:
            if writer.pid is not None:
                yield f"ledger-{writer.name or 'writer'}", writer.pid

    def start(self) -> None:
        """Begin writing."""
        for writer in self._writers:
            writer.start()

    def ask(self, occasion: str, resume: bool) -> None:
        """Fall silent, read everything back, go on if `resume`. Each answers through the inbox."""
        for writer in self._writers:
            writer.ask(occasion, resume)

    def purge(self) -> None:
        """Remove every marked write of this run. Answers once, for all, through the inbox."""
        threading.Thread(target=self._purge, daemon=True).start()

    def _purge(self) -> None:
        ends = [(writer.name, writer.removed()) for writer in self._writers]
        many = len(ends) > 1
        troubles = [f"{name}: {end.detail}" if many else end.detail for name, end in ends if not end.ok]
        total = sum(end.purged for _, end in ends)
        event = SyntheticPurged(total, total, ok=not troubles, detail="; ".join(troubles))
        self._inbox.put((self._clock.now_ns(), event))

    def stop(self) -> None:
        """Stop writing for good."""
        self._stack.close()
