"""Follows one run, or run after run, and says what is new as bytes that are the same for everybody.

One thread reads the run's files and folds them once; every client is sent the bytes that were encoded
once. The messages since a while are kept in a ring, so that whoever lost the connection goes on where it
was, and a client that is too slow falls out of the ring and begins anew: nobody's slowness is stored.

    story   all of it: plan, notes, rows of the charts, picture     (first message, or after a gap)
    news    the picture, and the notes and rows that are new        (twice a second, at once when news)
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gameday.console.picture import bars_changed, bars_of, note_of, picture, plan_of, watched
from gameday.console.story import Story
from gameday.errors import GameDayError
from gameday.hosts.clock import boot_ns
from gameday.procfs import boot_id

EVERY_S = 0.2
PICTURE_S = 0.5
IDLE_S = 1.0  # A run that is over, or none at all: still alive, said once a second.
LOOK_S = 2.0
RING_MAX = 240
CATCH_UP_S = 1.0
Place = tuple[str, int]  # generation and number of the last message a client has


def place_of(last_id: str) -> Place:
    """Return the place that the id of a message stands for; one that is nowhere for any other text."""
    generation, _, number = last_id.partition("-")
    return (
        (generation, int(number)) if number.isascii() and number.isdecimal() and len(number) < 16 else ("", 0)
    )


class Feed:
    """The story of the run that is followed now, its messages, and a way to be told of news."""

    def __init__(self, latest: Callable[[], Path | None], *, stays: bool = False) -> None:
        self._latest = latest
        self._stays = stays
        self._folding = threading.RLock()
        self._sending = threading.Lock()  # Never held while something is read, folded or encoded.
        self._stop = threading.Event()
        self._ring: deque[tuple[int, bytes]] = deque(maxlen=RING_MAX)
        self._whole: tuple[Place, bytes] = (("", 0), b"")
        self._trouble = ""
        self._told = 0
        self._said_s = self._looked_s = float("-inf")
        self._thinned = 0
        self.generation = secrets.token_hex(4)
        self.number = 0
        self.story: Story | None = None
        self.watching = 0
        self.news: Callable[[], None] = lambda: None
        self.say: Callable[[str], None] = lambda _: None

    @property
    def run_dir(self) -> Path | None:
        """The folder of the run that is followed; None while there is none."""
        story = self.story
        return story.run_dir if story is not None else None

    def run(self) -> None:
        """Follow until stopped. What goes wrong here is said once and tried again; nobody else stops."""
        while not self._stop.wait(EVERY_S):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - the thread's boundary: the page says that it is stale
                words = f"{type(error).__name__}: {error}"
                if words != self._trouble:
                    self._trouble = words
                    self.say(f"the run's files cannot be followed just now: {words}")

    def stop(self) -> None:
        """Let `run` end."""
        self._stop.set()

    def tick(self) -> None:
        """Take in what is new and say it, if it is time to."""
        with self._folding:
            changed = self._choose()
            changed |= self._read()
            now_s = time.monotonic()
            live = self.story is not None and self.story.ended is None
            due = now_s - self._said_s >= (PICTURE_S if live else IDLE_S)
            if not (changed or due):
                return
            self._said_s = now_s
            self._say()
        self.news()

    def whole(self) -> tuple[Place, bytes]:
        """Return the message that holds everything until now, and its place. May wait for a fold."""
        with self._folding:
            here = (self.generation, self.number)
            if self._whole[0] != here:
                self._whole = (here, self._frame("story", self._everything()))
            return self._whole

    def story_data(self) -> dict[str, Any]:
        """Return the same as plain data."""
        with self._folding:
            return self._everything()

    def since(self, place: Place) -> tuple[Place, bytes] | None:
        """Return what a client at `place` lacks, in one piece; None when it must begin anew. Never waits."""
        generation, number = place
        with self._sending:
            here = (self.generation, self.number)
            if place == here:
                return here, b""
            kept = bool(self._ring) and self._ring[0][0] <= number + 1 <= self.number
            if generation != self.generation or not kept:
                return None
            return here, b"".join(data for at, data in self._ring if at > number)

    # --- inside ------------------------------------------------------------------------------

    def _choose(self) -> bool:
        """Look for a run to follow: the first, and where it stays, a newer one once this is over."""
        now_s = time.monotonic()
        over = self.story is not None and self.story.ended is not None
        if (self.story is not None and not (self._stays and over)) or now_s - self._looked_s < LOOK_S:
            return False
        self._looked_s = now_s
        path = self._latest()
        if path is None or path == self.run_dir:
            return False
        try:
            self.story = Story.of(path)
        except GameDayError:
            return False  # It is only just being made.
        self._begin_anew()
        return True

    def _begin_anew(self) -> None:
        with self._sending:
            self.generation = secrets.token_hex(4)
            self._ring.clear()
        self._told = self._thinned = 0

    def _read(self) -> bool:
        story = self.story
        if story is None:
            return False
        changed, until_s = False, time.monotonic() + CATCH_UP_S
        while story.read() and time.monotonic() < until_s:
            changed = True
        changed = changed or story.told > self._told
        if story.ended is not None and story.findings is None:
            story.findings = _findings(story.run_dir)
            changed |= story.findings is not None
        if story.points.generation != self._thinned:
            self._begin_anew()
            self._thinned = story.points.generation
        return changed

    def _say(self) -> None:
        number = self.number + 1
        data = self._frame("news", self._news(), number)
        with self._sending:
            self.number = number
            self._ring.append((number, data))

    def _news(self) -> dict[str, Any]:
        story = self.story
        if story is None:
            return {"picture": None, "watching": self.watching}
        said = story.said_since(self._told)
        self._told = story.told
        return {
            "picture": picture(story, now_ns(story)),
            "notes": [note_of(number, note) for number, note in said],
            "rows": story.points.changed(watched(story)),
            "bars": bars_changed(story),
            "watching": self.watching,
        }

    def _everything(self) -> dict[str, Any]:
        story = self.story
        if story is None:
            return {"plan": None, "picture": None, "notes": [], "rows": [], "watching": self.watching}
        return {
            "plan": plan_of(story),
            "picture": picture(story, now_ns(story)),
            "notes": [note_of(number, note) for number, note in story.said if number < self._told],
            "left_out": max(story.told - len(story.said), 0),
            "rows": story.points.every(watched(story)),
            "step_s": story.points.step_s,
            "bars": bars_of(story),
            "watching": self.watching,
        }

    def _frame(self, kind: str, data: dict[str, Any], number: int | None = None) -> bytes:
        number = self.number if number is None else number
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        head = f"id: {self.generation}-{number}\nevent: {kind}\ndata: "
        return head.encode() + text.encode("utf-8", "replace") + b"\n\n"


def now_ns(story: Story) -> int:
    """Return where the run stands; its last instant once it is over, or the machine was started anew."""
    if story.ended is not None:
        return story.ended_ns
    if not story.origin_boot_ns or story.boot_id != boot_id():
        return story.last_ns
    return boot_ns() - story.origin_boot_ns


def _findings(run_dir: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((run_dir / "findings.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
