"""The process in which Locust runs, through its own entry point. The only importer of its `main`.

Importing Locust patches the whole process, so it happens here and nowhere else. The user's file is
not touched: this module hooks Locust's events and classes.

    argv[1]  commands, JSON lines: {"start":{"rate":50}} {"change":{…}} {"step":"3-kill"} {"stop":true}
             {"quit":true}. An ask holds rate or users, else the plan's stages or the file's shape are
             followed from now; and max_users, part, parts. The end of the pipe is the lifeline: when
             the runner dies, users stop at once.
    argv[2]  the stream: slices of 100 ms, and {"ready":true,"software":…,"options":…} | {"refused":"why"}
             | {"state":"running"} | {"failed":"why"}, which is its last word
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from typing import Any

from gameday.hosts.shares import share

_REVIVE_EVERY = 10  # slices
_STOPPED_FOR = 3  # slices
_RAMP_EVERY_S = 0.1
_TURNS_S = 0.02  # Five turns are needed, of half a millisecond each.
_LOOK_AT = 512  # Half of the files that a process may have open where nobody asked for more.
_PYTHONS_THRESHOLD = gc.get_threshold()
# Between collections. More is better for FastHttpUser; what HttpUser drops has left the cache by then.
_OBJECTS_BETWEEN = 3000


class LoadHost:
    """Locust's hooks: control, the gate, the counting."""

    def __init__(self, config: dict[str, Any], commands: int, stream: int) -> None:
        from gameday.hosts.loadbuckets import Buckets  # noqa: PLC0415 - after Locust's patching
        from gameday.hosts.loadguard import Guard  # noqa: PLC0415

        self._config = config
        self._commands = commands
        self.buckets = Buckets(stream, config["load"], int(config["origin_boot_ns"]), config.get("generator"))
        self.guard = Guard(self.buckets, lifeline=commands, stream=stream, profile=config["profile"])
        self._tracer: Any = None
        self._pool: Any = None
        self._gate: Any = None
        self._shape: Any = None
        self._stats: Any = None
        self._ramp: Any = None
        self._stopped_for = 0
        self._is_ending = False
        self.environment: Any = None
        self.parser: Any = None

    # --- set-up ------------------------------------------------------------------------------

    def keep_parser(self, parser: Any, **_: Any) -> None:
        """Remember the parser of the options: it knows which of the file's own are secret."""
        self.parser = parser

    def attach(self, environment: Any, **_: Any) -> None:
        """Take hold of Locust once it is set up (its `init` event)."""
        import gevent  # noqa: PLC0415 - Locust's own

        from gameday.hosts import loadclients  # noqa: PLC0415
        from gameday.hosts.loadpool import Pool  # noqa: PLC0415
        from gameday.hosts.loadstats import Stats  # noqa: PLC0415
        from gameday.hosts.loadusers import Users  # noqa: PLC0415

        config, self.environment = self._config, environment
        if not environment.user_classes:
            self.refuse("it defines no user class")
        if config.get("shape") and environment.shape_class is None:
            self.refuse("it defines no LoadTestShape, and the plan says `shape: true`")
        # Users live until we say so: no run time, no ramp of Locust's own, a shape only when it is asked for.
        self._shape, environment.shape_class = environment.shape_class, None
        self._pool = Pool(environment.runner, config["max_users"])
        self._gate = self._new_gate() if config["open_loop"] else None
        timeout_s = config["timeout_s"]
        loadclients.watch(
            self.buckets,
            closed_loop=self._gate is None,
            timeout_s=timeout_s,
            headers=self._new_tracer() if config.get("trace") else None,
        )
        for cls in environment.user_classes:
            loadclients.fast_timeout(cls, timeout_s)
        users = Users(self.buckets, self._pool, self._gate, config["profile"])
        against = users.prepare(environment.user_classes)
        if against:
            self.refuse(against)
        environment.events.user_error.add_listener(users.on_error)
        seen = None if self._gate else loadclients.seen_responses()
        self._stats = Stats(environment.stats, environment.events.request._handlers)
        kept = self._stats if self._stats.is_ours else None
        looked = gevent.get_hub().loop.now
        listener = self.buckets.listener(gevent.getcurrent, loadclients.kind_of, seen, kept, looked)
        environment.events.request.add_listener(listener)
        gevent.spawn(self._serve)
        gevent.spawn(self._stream)

    def _new_gate(self) -> Any:
        from gameday.hosts.loadarrivals import Arrivals  # noqa: PLC0415
        from gameday.hosts.loadgate import Gate  # noqa: PLC0415 - gevent again

        seed = f"{self._config.get('seed', 0)}/{self._config['load']}/{self._config.get('generator') or 0}"
        poisson = self._config.get("arrivals") == "poisson"
        return Gate(self.buckets, Arrivals(poisson=poisson, seed=seed), self._pool)

    def _new_tracer(self) -> Any:
        from gameday.hosts.loadtrace import Tracer  # noqa: PLC0415

        self._tracer = Tracer(self._config.get("run", ""), self._config["load"])
        return self._tracer.headers

    def refuse(self, reason: str) -> None:
        """Say why the load cannot be run, and end."""
        self.buckets.say({"refused": reason})
        os._exit(3)

    def ended(self) -> None:
        """Locust ends; say so where nobody asked it to."""
        if not self._is_ending:
            self.buckets.say({"failed": "its code stopped Locust"})

    # --- control -----------------------------------------------------------------------------

    def _serve(self) -> None:
        """Carry out commands until the pipe ends, which means that the runner is dead."""
        import gevent.os  # noqa: PLC0415

        from gameday.hosts.loadversions import effective_options, versions  # noqa: PLC0415

        buffer = b""
        os.set_blocking(self._commands, False)
        options = effective_options(self.environment.parsed_options, self.parser)
        self.guard.start()
        _spare_the_collector()
        _look_at_many()
        self.buckets.say({"ready": True, "software": versions(), "options": options})
        while True:
            data = gevent.os.nb_read(self._commands, 65536)
            if not data:
                os._exit(0)  # Requests end with the process; nothing goes on without a runner.
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                self._obey(json.loads(line))

    def _obey(self, command: dict[str, Any]) -> None:
        runner = self.environment.runner
        ask = command.get("start") or command.get("change")
        if ask is not None:
            self._pool.users_max = ask.get("max_users") or self._pool.users_max
            self._end_ramp()
            self._follow(ask)
            self.buckets.say({"state": "running"})
        elif "step" in command:
            if self._tracer is not None:
                self._tracer.at_step(command["step"])
        elif "stop" in command:
            self._end_ramp()
            if self._gate is not None:
                self._gate.stop()
            self._pool.wanted = 0
            self._stats.count()
            runner.stop()
            self._stats.count()
            self.buckets.flush()
            self.buckets.say({"state": "stopped"})
        elif "quit" in command:
            self._is_ending = True
            self._stats.count()
            runner.quit()

    def _follow(self, ask: dict[str, Any]) -> None:
        """Follow a rate or a number of users, else what the plan or the file has of its own."""
        from gameday.plan.model import Stage  # noqa: PLC0415
        from gameday.plan.pacing import staged, steady  # noqa: PLC0415

        parts, part = ask.get("parts") or 1, ask.get("part") or 0
        stages = [Stage(*stage) for stage in ask.get("stages") or self._config.get("stages") or ()]
        if ask.get("rate") or ask.get("users"):
            pace = steady(float(ask.get("rate") or ask["users"]))
            parts_of_users = 1  # It is our part already.
        elif self._config.get("shape"):
            self._start_shape()
            return
        else:
            pace = staged(stages, parts if self._gate is not None else 1)
            parts_of_users = parts
        if self._gate is not None:
            self._pool.ready(pace.level(0.0))
            self._gate.follow(pace, (part + 1) / parts)
        else:
            self._ramp_users(pace, part, parts_of_users)

    def _ramp_users(self, pace: Any, part: int, parts: int) -> None:
        """Have our part of the users that the pace asks for at each instant."""
        import gevent  # noqa: PLC0415

        began_s = time.perf_counter()

        def follow() -> None:
            users = share(round(pace.level(time.perf_counter() - began_s)), part, parts)
            if users != self._pool.wanted:
                self._pool.have(users)

        def ramp() -> None:
            while time.perf_counter() - began_s <= pace.lines[-1].begin_s + 1.0:
                gevent.sleep(_RAMP_EVERY_S)
                follow()

        follow()
        if len(pace.lines) > 1:
            self._ramp = gevent.spawn(ramp)

    def _start_shape(self) -> None:
        """Let the file's LoadTestShape decide, as Locust does; where it ends before we do, the load ends."""
        runner, shape = self.environment.runner, self._shape
        tick = shape.tick

        def watched() -> Any:
            asked = tick()
            if asked is None:
                self.buckets.flush()
                self.buckets.say({"failed": "its LoadTestShape ended before the drill did"})
                os._exit(3)
            return asked

        shape.tick = watched
        self.environment.shape_class = shape
        runner.start_shape()
        self._ramp = runner.shape_greenlet

    def _end_ramp(self) -> None:
        if self._ramp is not None:
            self._ramp.kill()
            self._ramp = self.environment.runner.shape_greenlet = None
            self.environment.shape_class = None

    def _look_if_stopped(self) -> None:
        """A file may stop Locust; users that we would make again must not hide it."""
        is_stopped = self._pool.wanted and self.environment.runner.state in ("stopping", "stopped", "cleanup")
        self._stopped_for = self._stopped_for + 1 if is_stopped else 0
        if self._stopped_for >= _STOPPED_FOR:
            self.buckets.say({"failed": "its code stopped Locust"})
            os._exit(3)

    def _stream(self) -> None:
        import gevent  # noqa: PLC0415

        due_s, count = time.perf_counter(), 0
        while True:
            due_s = max(due_s + 0.1, time.perf_counter())
            gevent.sleep(max(due_s - time.perf_counter(), 0.0))
            self._stats.count()
            self.buckets.flush()
            count += 1
            self._look_if_stopped()
            if self._gate is not None and count % _REVIVE_EVERY == 0:
                self._pool.revive()


def main() -> None:
    """Read the configuration, then hand over to Locust's own `main`."""
    if sys.argv[1:2] == ["worker"]:
        from gameday.hosts.loadworker import work  # noqa: PLC0415 - a worker of another machine's load

        work(LoadHost, *sys.argv[2:])
        return
    with os.fdopen(os.dup(0), "rb") as pipe:
        config = json.loads(pipe.readline())
    commands, stream = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["locust", "-f", config["profile"], "--headless", "--users", "1", "--loglevel", "ERROR"]
    sys.argv += config["options"]
    if config["host"]:
        sys.argv += ["--host", config["host"]]
    if config["workers"]:
        bind_host, _, bind_port = config["bind"].rpartition(":")
        sys.argv += ["--master", "--master-bind-host", bind_host, "--master-bind-port", bind_port]
        sys.argv += ["--expect-workers", str(config["workers"])]
    sys.path.insert(0, os.path.dirname(config["profile"]))  # noqa: PTH120 - as Locust does it
    sys.path.insert(1, config["project"])
    import locust.main  # noqa: PLC0415 - the one place
    from locust import events, runners  # noqa: PLC0415

    from gameday.hosts.loadusers import place_of  # noqa: PLC0415 - gevent, after Locust's patching

    host: Any = LoadHost(config, commands, stream)
    events.init_command_line_parser.add_listener(host.keep_parser)  # type: ignore[no-untyped-call]
    if config["workers"]:
        from gameday.hosts.loadmaster import LoadMaster  # noqa: PLC0415 - it needs gevent

        host = LoadMaster(config, commands, stream)
    events.init.add_listener(host.attach)  # type: ignore[no-untyped-call]
    _hold_back(runners.LocalRunner)
    try:
        locust.main.main()  # type: ignore[no-untyped-call]
    except SystemExit as ended:
        if host.environment is None:
            reason = f"it ended with {ended.code} while it was imported"
            place = place_of(reason, sys.exc_info()[2], config["profile"])
            if place == reason:  # Not the profile's doing: Locust's own words stand in the log.
                sys.exit(ended.code)
            host.refuse(place)
        host.ended()
        raise
    except BaseException as error:  # noqa: BLE001 - user code, at import
        reason = f"{type(error).__name__}: {error}"
        host.refuse(place_of(reason, error.__traceback__, config["profile"]))


def _spare_the_collector() -> None:
    """Have it run seldom, and not over what was imported, which stays for good; 2 % more requests."""
    gc.collect()
    gc.freeze()
    if gc.isenabled() and gc.get_threshold() == _PYTHONS_THRESHOLD:  # Else the file has a mind of its own.
        gc.set_threshold(_OBJECTS_BETWEEN, *_PYTHONS_THRESHOLD[1:])


def _look_at_many() -> None:
    """Have the event loop look at hundreds of answers at once.

    libev asks the kernel for 64 at first, and for twice as many whenever it got as many as it asked for. When
    a stall ends, the 65th answer would so be found only when 64 were read, and count as late as that. So it
    is shown as many files that can be read, all copies of one, before the load begins.
    """
    import gevent  # noqa: PLC0415 - after Locust's patching

    loop = gevent.get_hub().loop
    readable, writable = os.pipe()
    os.write(writable, b".")
    copies = [os.dup(readable) for _ in range(_LOOK_AT)]
    watchers = [loop.io(fd, 1) for fd in copies]
    for watcher in watchers:
        watcher.start(lambda: None)
    gevent.sleep(_TURNS_S)
    for watcher in watchers:
        watcher.stop()
        watcher.close()
    for fd in (*copies, readable, writable):
        os.close(fd)


def _hold_back(runner_class: Any) -> None:
    """`--headless` would start its one user by itself; ours start when the runner says so."""
    first = runner_class.start

    def start(runner: Any, user_count: int, spawn_rate: float, *args: Any, **more: Any) -> Any:
        if not getattr(runner, "_gameday_held", False):
            runner._gameday_held = True
            return None
        return first(runner, user_count, spawn_rate, *args, **more)

    runner_class.start = start


if __name__ == "__main__":
    main()
