"""The master of a load whose generators are on other machines. Runs inside the load host.

It is Locust's own master, and the workers are Locust's own workers: users are spread by Locust, and
files that send messages of their own between master and workers go on working. What Locust does too
slowly or not at all goes beside that in messages of ours, on the same connection:

    gameday-said   worker → master   hello (digest, versions) · pong · line (its 100 ms slices) · users
    gameday-do     master → worker   welcome (the plan's load) · ping · do (a command) · bye

* A worker counts when its profile has the plan's digest. Once all are there, no other may join.
* A worker that does not answer for LOST_S is given up: the others take over its rate and its users.
* A worker that hears no ping for 1.5 s ends itself, whoever of master and runner is dead or stopped.
* Slices carry the master's time: each ping measures how far a worker's clock is from ours, and the
  quickest answer of the last ones bounds the error by half of its way there and back.

Locust's connection knows neither authentication nor encryption: it is bound where the plan says, and
that is loopback unless it says otherwise.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import gevent
import gevent.os

from gameday.hosts.shares import later, part_of, share_of_users

SAID, DO = "gameday-said", "gameday-do"
PING_EVERY_S = 0.5
LOST_S = 2.5
_STILL_S = 1.0
_GATHER_S = 0.02
_FLUSH_S = 0.05
_BACKLOG_MAX = 16 << 20
_PONGS = 20


@dataclass(slots=True)
class Worker:
    """One worker as the master knows it. Times in seconds of this process."""

    id: str
    number: int
    place: str
    heard_s: float
    is_ready: bool = False
    wanted_users: int = 0
    pongs: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_PONGS))

    def offset_ns(self) -> int:
        """Return how far its clock is ahead of ours."""
        return min(self.pongs)[1]

    def bound_ns(self) -> int:
        """Return the most by which `offset_ns` can be wrong."""
        return min(self.pongs)[0] // 2


class LoadMaster:
    """Locust's master, with our control, our slices and our watch over the workers."""

    def __init__(self, config: dict[str, Any], commands: int, stream: int) -> None:
        os.set_blocking(stream, False)
        self._config = config
        self._commands, self._stream = commands, stream
        self._backlog = b""
        self._expected = int(config["workers"])
        self._workers: dict[str, Worker] = {}
        self._refused = ""
        self._is_complete = self._is_stopping = False
        self._asked: dict[str, Any] | None = None
        self._asked_s = 0.0
        self._unanswered: set[int] = set()
        self._working: set[int] = set()
        self.environment: Any = None
        self._runner: Any = None
        self._start: Any = None
        self._spreading: Any = None

    def attach(self, environment: Any, **_: Any) -> None:
        """Take hold of Locust once it is set up (its `init` event)."""
        self.environment = environment
        environment.shape_class = None
        environment.parsed_options.expect_workers = 0  # It is we who wait, and we who start.
        self._runner = runner = environment.runner
        self._start, runner.start = runner.start, lambda *_, **__: None
        handle = runner.handle_message
        runner.handle_message = lambda client, message: self._screened(handle, client, message)
        runner.register_message(SAID, self._said)
        gevent.spawn(self._serve)
        gevent.spawn(self._watch)
        gevent.spawn(self._wait)

    # --- workers come and go -------------------------------------------------------------------

    def _screened(self, handle: Any, client: str, message: Any) -> None:
        """Let Locust handle a message, but for what would change who takes part."""
        if message.type == "client_ready" and self._is_complete and client not in self._workers:
            return  # It came too late, and may wait for the next load.
        if message.type == "quit":
            self._runner.clients.pop(client, None)
            if client in self._workers and not self._is_stopping:
                self._lose(self._workers[client], "it left")
            return
        handle(client, message)

    def _said(self, msg: Any, **_: Any) -> None:
        worker = self._workers.get(msg.node_id)
        if "hello" in msg.data:
            self._greet(msg.node_id, msg.data["hello"])
        elif worker is None:
            return
        elif "pong" in msg.data:
            sent_ns, theirs_ns = msg.data["pong"]
            now_ns = _boot_ns()
            worker.pongs.append((now_ns - sent_ns, theirs_ns - (sent_ns + now_ns) // 2))
            worker.heard_s = time.monotonic()
            self._look()
        elif "users" in msg.data:
            worker.wanted_users = msg.data["users"]
            self._spread()
        else:
            self._relay(worker, msg.data["line"])

    def _greet(self, client: str, hello: dict[str, Any]) -> None:
        if client in self._workers:
            return
        bye = ""
        if hello["sha256"] != self._config["sha256"]:
            bye = (
                f"its profile's SHA-256 begins with {hello['sha256'][:12]}, "
                f"the plan's with {self._config['sha256'][:12]}"
            )
            self._refused = f"; worker {hello['place']} was sent away: {bye}"
        elif self._is_complete or len(self._workers) >= self._expected:
            bye = f"all {self._expected} workers are there already"
        if bye:
            self._tell(client, {"bye": bye})
            return
        number = min(set(range(self._expected)) - {w.number for w in self._workers.values()})
        self._workers[client] = Worker(client, number, hello["place"], time.monotonic())
        rest = {k: v for k, v in self._config.items() if k not in ("project", "options", "host", "bind")}
        rest |= {"generator": number, "origin_boot_ns": "0"}
        rest["max_users"] = share_of_users(self._config["max_users"], number, self._expected)
        self._tell(client, {"welcome": rest})
        gevent.spawn(self._measure, client)

    def _measure(self, client: str) -> None:
        for _ in range(_PONGS):  # The quickest of many: it is busy with getting ready.
            self._tell(client, {"ping": _boot_ns()})
            gevent.sleep(_GATHER_S)

    def _look(self) -> None:
        """Once all that were expected are there and ready, say so, and let nobody else in."""
        ready = [w for w in self._workers.values() if w.is_ready and len(w.pongs) == _PONGS]
        if self._is_complete or len(ready) < self._expected:
            return
        self._is_complete = True
        self._runner.environment.parsed_options.expect_workers = self._expected
        for client in [c for c in self._runner.clients if c not in self._workers]:
            self._runner.send_message("quit", client_id=client)
            self._runner.clients.pop(client)
        self._say({"ready": True})

    def _wait(self) -> None:
        wait_s = float(self._config["wait_s"])
        gevent.sleep(wait_s)
        if not self._is_complete:
            came = f"{len(self._workers)} of {self._expected} workers came to {self._config['bind']}"
            self._say({"refused": f"{came} within {wait_s:g} s{self._refused}"})
            self._dismiss("the load was given up: not all workers came")

    def _watch(self) -> None:
        """Ping the workers, and give up those that do not answer."""
        while True:
            began_s = time.monotonic()
            for worker in list(self._workers.values()):
                if began_s - worker.heard_s > LOST_S:
                    self._lose(worker, f"it did not answer for {LOST_S:g} s")
                else:
                    self._tell(worker.id, {"ping": _boot_ns()})
            gevent.sleep(PING_EVERY_S)
            if time.monotonic() - began_s > PING_EVERY_S + _STILL_S:
                for worker in self._workers.values():
                    worker.heard_s = time.monotonic()  # It was this process that stood still.

    def _lose(self, worker: Worker, why: str) -> None:
        del self._workers[worker.id]
        node = self._runner.clients.pop(worker.id, None)
        self._tell(worker.id, {"bye": "it was given up: its share was taken over by others"})
        if not self._is_complete or self._is_stopping:
            return
        if node is not None and self._runner._users_dispatcher is not None:
            self._runner._users_dispatcher.remove_worker(node)
        said = f"worker {worker.number + 1} of {self._expected} ({worker.place}) was lost: {why}"
        if not self._workers:
            self._say({"failed": f"{said}; there is no other"})
            os._exit(3)
        self._unanswered.discard(worker.number)
        self._say({"state": "short", "detail": f"{said}; the other {len(self._workers)} take over its share"})
        if self._asked is not None:
            now_s = time.monotonic()
            self._asked = later(self._asked, self._config.get("stages") or (), now_s - self._asked_s)
            self._asked_s = now_s
            self._share_out()
            self._spread()

    # --- the load ------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Carry out commands until the pipe ends, which means that the runner is dead."""
        buffer = b""
        os.set_blocking(self._commands, False)
        while True:
            data = gevent.os.nb_read(self._commands, 65536)
            if not data:
                self._dismiss("the runner is gone")
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self._obey(json.loads(line))

    def _dismiss(self, reason: str) -> None:
        """Send the workers away and end. They would notice by themselves; this is quicker."""
        for worker in self._workers.values():
            self._tell(worker.id, {"bye": reason})
        gevent.sleep(_FLUSH_S)
        os._exit(0)

    def _obey(self, command: dict[str, Any]) -> None:
        ask = command.get("start") or command.get("change")
        if ask is not None:
            self._asked, self._asked_s = ask, time.monotonic()
            self._share_out()
        elif "step" in command:
            for worker in self._workers.values():
                self._tell(worker.id, {"do": command})
        elif "stop" in command:
            self._is_stopping = True
            self._unanswered = {worker.number for worker in self._workers.values()}
            for worker in self._workers.values():
                self._tell(worker.id, {"do": {"stop": True}})
            gevent.spawn(self._runner.stop)
        elif "quit" in command:
            self._is_stopping = True
            gevent.spawn(self._runner.quit)

    def _share_out(self) -> None:
        """Give each worker its part of what was asked."""
        assert self._asked is not None
        workers = sorted(self._workers.values(), key=lambda worker: worker.number)
        self._unanswered = set()
        for place, worker in enumerate(workers):
            part = part_of(self._asked, place, len(workers))
            if part is None:
                worker.wanted_users = 0
                continue
            self._unanswered.add(worker.number)
            word = "change" if worker.number in self._working else "start"
            self._working.add(worker.number)
            self._tell(worker.id, {"do": {word: part}})

    def _spread(self) -> None:
        """Have Locust spread users over the workers, as many as they want; the last word counts."""
        if self._spreading is not None:
            self._spreading.kill(block=False)
        self._spreading = gevent.spawn(self._spread_now)

    def _spread_now(self) -> None:
        gevent.sleep(_GATHER_S)  # All of them say how many, one after another.
        wanted = [worker.wanted_users for worker in self._workers.values()]
        # A pool must suffice for the worker that needs most of it, and Locust spreads evenly.
        total = max(wanted) * len(wanted) if self._config["open_loop"] else sum(wanted)
        self._start(total, spawn_rate=max(total, 1))

    def _relay(self, worker: Worker, line: dict[str, Any]) -> None:
        """Pass on what a worker's load host says, its slices in our time and with its number."""
        if "bucket" in line:
            bucket = line["bucket"]
            bucket["generator"] = worker.number
            bucket["start_ns"] -= worker.offset_ns() + int(self._config["origin_boot_ns"])
            self._say({"bucket": bucket})
        elif "ready" in line:
            worker.is_ready = True
            told = {key: line.get(key, []) for key in ("software", "options")}
            self._say({"generator": worker.number, **told})
            self._look()
        elif "refused" in line:
            self._say({"refused": f"worker {worker.place}: {line['refused']}"})
        elif "failed" in line:
            self._lose(worker, line["failed"])
        elif line.get("state") == "short":
            self._say({**line, "detail": f"worker {worker.place}: {line['detail']}"})
        elif "state" in line and worker.number in self._unanswered:
            self._unanswered.discard(worker.number)
            if not self._unanswered:
                bound_ms = max(w.bound_ns() for w in self._workers.values()) / 1e6
                clocks = f"workers: {len(self._workers)}, their clocks known within {bound_ms:.1f} ms"
                self._say({"state": line["state"], "detail": clocks})

    # --- sending -------------------------------------------------------------------------------

    def _tell(self, client: str, data: dict[str, Any]) -> None:
        self._runner.send_message(DO, data, client_id=client)

    def _say(self, message: dict[str, Any]) -> None:
        """Write to the runner without waiting for it."""
        self._backlog += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            while self._backlog:
                self._backlog = self._backlog[os.write(self._stream, self._backlog) :]
        except BlockingIOError:
            if len(self._backlog) > _BACKLOG_MAX:
                os._exit(4)  # Nobody has read for minutes: that is no runner any more.
        except OSError:
            self._backlog = b""  # Nobody listens any more; the lifeline ends this process next.

    def ended(self) -> None:
        """Locust ends; say so where nobody asked it to."""
        if not self._is_stopping:
            self._say({"failed": "its code stopped Locust"})

    def refuse(self, reason: str) -> None:
        """Say why the load cannot be run, and end."""
        self._say({"refused": reason})
        os._exit(3)


def _boot_ns() -> int:
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
