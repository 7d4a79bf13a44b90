"""Notices on their way, each in a process of its own and under one deadline, and what became of it.

{"at_utc", "delivered", "detail", "to": variable, "when"}     a line of notices.jsonl
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gameday.hosts.clock import utc_text
from gameday.plan.notices import Notice

SENT = "notices.jsonl"
DEADLINE_S = 15.0
LOADING_S = 90.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one notice. `to` is the variable's name: its value is a secret."""

    to: str
    when: str
    delivered: bool
    detail: str

    @property
    def words(self) -> str:
        """What a person is told of it."""
        fate = "delivered" if self.delivered else f"NOT delivered: {self.detail}"
        return f"notice {self.when} to {self.to}: {fate}"


@dataclass(slots=True)
class _Way:
    """One notice on its way to several channels, in one process."""

    when: str
    names: list[str]
    process: subprocess.Popen[bytes] | None
    until_s: float
    detail: str = ""
    read: bytes = b""


@dataclass(slots=True)
class Sender:
    """Sends notices and writes down what became of them. Never waits for a channel but in `wait`."""

    file: Path
    environment: str
    deadline_s: float = DEADLINE_S
    ways: list[_Way] = field(default_factory=list)
    known: list[Delivery] = field(default_factory=list)

    def send(self, notices: Iterable[Notice], when: str, told: tuple[str, str]) -> None:
        """Begin to send a notice to each channel that is due."""
        channels = {}
        for notice in notices:
            if not notice.is_due(when, self.environment):
                continue
            url = os.environ.get(notice.variable, "")
            if url:
                channels[notice.variable] = url
            else:
                self.known.append(Delivery(notice.variable, when, False, f"{notice.variable} is not set"))
        if channels:
            line = json.dumps({"title": told[0], "body": told[1], "channels": channels}) + "\n"
            self.ways.append(self._begin(list(channels), when, line))

    def _begin(self, names: list[str], when: str, line: str) -> _Way:
        until_s = time.monotonic() + LOADING_S
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "gameday.hosts.notifier"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return _Way(when, names, None, until_s, f"no process for it: {error.strerror}")
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(line.encode())
            process.stdin.close()
        os.set_blocking(process.stdout.fileno(), False)
        return _Way(when, names, process, until_s)

    def arrived(self) -> Iterator[Delivery]:
        """Yield what is known by now, each once; a channel that is late is given up on."""
        for way in tuple(self.ways):
            self.known += _heard(way, self.deadline_s)
            is_late = time.monotonic() > way.until_s
            if way.names and way.process is not None and way.process.poll() is None and not is_late:
                continue
            self.ways.remove(way)
            self.known += [*_heard(way, self.deadline_s), *_given_up(way, self.deadline_s)]
        while self.known:
            found = self.known.pop(0)
            self._write(found)
            yield found

    def wait(self) -> Iterator[Delivery]:
        """Yield what becomes of all that is on its way, until the last deadline."""
        yield from self.arrived()
        while self.ways:
            time.sleep(0.02)
            yield from self.arrived()

    def _write(self, found: Delivery) -> None:
        line = {
            "at_utc": utc_text(),
            "delivered": found.delivered,
            "detail": found.detail,
            "to": found.to,
            "when": found.when,
        }
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(self.file, flags, 0o600), "wb") as file:
                file.write(json.dumps(line, sort_keys=True).encode() + b"\n")


def _heard(way: _Way, deadline_s: float) -> list[Delivery]:
    """Return what a process has answered since it was last asked; never waits."""
    if way.process is None or way.process.stdout is None:
        return []
    with suppress(OSError):
        way.read += os.read(way.process.stdout.fileno(), 1 << 16)
    *lines, way.read = way.read.split(b"\n")
    found = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            answer = json.loads(line)
            if answer.get("ready"):  # The library is loaded, which takes long on a busy machine.
                way.until_s = time.monotonic() + deadline_s
                continue
            if answer["to"] in way.names:
                way.names.remove(answer["to"])
                found.append(Delivery(answer["to"], way.when, bool(answer["ok"]), str(answer["detail"])))
    return found


def _given_up(way: _Way, deadline_s: float) -> list[Delivery]:
    """End a way, and return what stands for the channels that never answered."""
    detail = way.detail
    if way.process is not None:
        is_alive = way.process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(way.process.pid, signal.SIGKILL)  # Its children too.
        code = way.process.wait()
        detail = f"no answer within {deadline_s:g} s" if is_alive else f"its sender ended with {code}"
        if way.process.stdout is not None:
            way.process.stdout.close()
    return [Delivery(name, way.when, False, detail) for name in way.names]
