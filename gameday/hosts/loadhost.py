"""The process in which Locust runs, through its own entry point. The only importer of locust.

Importing Locust patches the whole process, so it happens here and nowhere else. The user's file is
not touched: this module adds itself as one more locustfile and hooks Locust's events.

    argv[1]  commands, JSON lines: {"start":{"rate":50}} {"change":{…}} {"stop":true} {"quit":true}
             Its end is the lifeline: when the runner dies, users stop at once.
    argv[2]  the stream: slices of 100 ms, and {"ready":true} | {"refused":"why"}
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from typing import Any

DEFAULT_TIMEOUT_S = 5.0
_POOL_STEP = 10


class LoadHost:
    """Locust's hooks: control, the gate, the counting."""

    def __init__(self, config: dict[str, Any], commands: int, stream: int) -> None:
        from gameday.hosts.loadbuckets import Buckets  # noqa: PLC0415 - after Locust's patching

        self._config = config
        self._commands = commands
        self.buckets = Buckets(stream, config["load"], int(config["origin_boot_ns"]))
        self._gate: Any = None
        self.environment: Any = None
        self._open_loop = config["open_loop"]
        self._wanted_users = 0
        self._has_users = False

    def attach(self, environment: Any, **_: Any) -> None:
        """Take hold of Locust once it is set up (its `init` event)."""
        import gevent  # noqa: PLC0415 - Locust's own

        self.environment = environment
        if not environment.user_classes:
            self.refuse("it defines no user class")
        if self._open_loop:
            from gameday.hosts.loadgate import Gate  # noqa: PLC0415 - gevent again

            self._gate = Gate(self.buckets)
            self._gate.grow = self._grow
        for cls in environment.user_classes:
            self._prepare(cls)
        environment.events.request.add_listener(self._on_request)
        # Users live until we say so: no shape, no run time, no ramp of Locust's own.
        environment.shape_class = None
        gevent.spawn(self._serve)
        gevent.spawn(self._stream)

    def _prepare(self, cls: Any) -> None:
        """Put the gate in front of a user class, and a timeout where it has none."""
        from locust import HttpUser  # noqa: PLC0415 - see the module docstring

        if issubclass(cls, HttpUser):
            _default_timeout(cls)
        elif getattr(cls, "network_timeout", None) == 60.0:
            cls.network_timeout = cls.connection_timeout = DEFAULT_TIMEOUT_S
        gate, began = self._gate, cls.on_start
        if gate is not None:
            cls.wait_time = _waits_at(gate)

        def on_start(user: Any) -> None:
            try:
                began(user)
            except (Exception, SystemExit) as error:
                if not self._has_users:  # Later ones may fail because the target does.
                    self._give_up(error)
                raise
            self._has_users = True
            if gate is not None:
                gate.wait(user)  # No burst when users appear: each waits for an arrival of its own.

        cls.on_start = on_start

    def _give_up(self, error: BaseException) -> None:
        """Say why not even the first user could start, and end: there would never be any load."""
        reason = f"{type(error).__name__}: {error}"
        place = _why(reason, error.__traceback__, self._config["profile"])
        self.buckets.say({"failed": f"its first user failed in on_start: {place}"})
        os._exit(3)

    def _on_request(self, response_time: float | None, exception: Any, **more: Any) -> None:
        import gevent  # noqa: PLC0415 - cached, a dict look-up

        latency_s = (response_time or 0.0) / 1000
        if self._gate is not None:
            user = getattr(gevent.getcurrent(), "_gameday_user", None) or _user_of(gevent.getcurrent())
            intended_s = getattr(user, "_gameday_intended_s", None)
            if intended_s is not None:
                # The first request of an arrival answers for the time it had to wait as well.
                latency_s = time.perf_counter() - intended_s
                user._gameday_intended_s = None
                self.buckets.in_flight -= 1
        else:
            self.buckets.arrived()
        self.buckets.request(latency_s, _kind(exception, more.get("response")) if exception else "")

    def _grow(self) -> None:
        """Nobody is free: let the pool grow, up to its limit."""
        runner = self.environment.runner
        if self._wanted_users and runner.user_count >= self._wanted_users < self._config["max_users"]:
            self._wanted_users = min(self._wanted_users + _POOL_STEP, self._config["max_users"])
            runner.start(self._wanted_users, spawn_rate=1000)

    def _serve(self) -> None:
        """Carry out commands until the pipe ends, which means that the runner is dead."""
        import gevent.os  # noqa: PLC0415

        buffer = b""
        os.set_blocking(self._commands, False)
        self.buckets.say({"ready": True})
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
            self._config["max_users"] = ask.get("max_users", self._config["max_users"])
            if ask.get("users"):
                runner.start(int(ask["users"]), spawn_rate=float(ask["users"]))
            else:
                rate = float(ask["rate"])
                self._wanted_users = max(
                    self._wanted_users, min(max(_POOL_STEP, int(rate / 5)), self._config["max_users"])
                )
                runner.start(self._wanted_users, spawn_rate=1000)
                self._gate.set_rate(rate)
            self.buckets.say({"state": "running"})
        elif "stop" in command:
            if self._gate is not None:
                self._gate.set_rate(0.0)
            runner.stop()
            self.buckets.flush(0)
            self.buckets.say({"state": "stopped"})
        elif "quit" in command:
            runner.quit()

    def _stream(self) -> None:
        import gevent  # noqa: PLC0415

        due_s = time.perf_counter()
        while True:
            due_s = max(due_s + 0.1, time.perf_counter())
            gevent.sleep(max(due_s - time.perf_counter(), 0.0))
            self.buckets.flush(max(self.buckets.in_flight, 0))

    def refuse(self, reason: str) -> None:
        """Say why the load cannot be run, and end."""
        self.buckets.say({"refused": reason})
        os._exit(3)


def _default_timeout(cls: Any) -> None:
    """Requests waits for ever by default, and a stalled target would silence its users unseen."""
    if getattr(cls, "_gameday_timeout", False):
        return
    made = cls.__init__

    def make(user: Any, *args: Any, **more: Any) -> None:
        made(user, *args, **more)
        send = user.client.request

        def request(method: Any, url: Any, *a: Any, **k: Any) -> Any:
            k.setdefault("timeout", DEFAULT_TIMEOUT_S)
            return send(method, url, *a, **k)

        user.client.request = request

    cls.__init__ = make
    cls._gameday_timeout = True


def _waits_at(gate: Any) -> Any:
    """Return a `wait_time` method: a bound method would be called without its user."""

    def wait_time(user: Any) -> float:
        return float(gate.wait(user))

    return wait_time


def _user_of(greenlet: Any) -> Any:
    """Return the Locust user that runs in a greenlet, and remember it there."""
    args = getattr(greenlet, "args", ())
    user = args[0] if args else None
    greenlet._gameday_user = user
    return user


def _kind(exception: Any, response: Any) -> str:
    """Name a failure as the evidence has it: refused, reset, timeout, dns, http-503, assertion, other."""
    status = getattr(response, "status_code", 0) or 0
    if status >= 400:
        return f"http-{status}"
    text = f"{type(exception).__name__} {exception}".lower()
    for kind, words in (
        ("refused", ("refused",)),
        ("timeout", ("timeout", "timed out")),
        ("reset", ("reset", "broken pipe", "closed", "aborted", "disconnected")),
        ("dns", ("getaddrinfo", "name or service", "resolve")),
        ("assertion", ("catchresponse", "assertion")),
    ):
        if any(word in text for word in words):
            return kind
    return "other"


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

    host: Any = LoadHost(config, commands, stream)
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
            place = _why(reason, sys.exc_info()[2], config["profile"])
            if place == reason:  # Not the profile's doing: Locust's own words stand in the log.
                sys.exit(ended.code)
            host.refuse(place)
        raise
    except BaseException as error:  # noqa: BLE001 - user code, at import
        reason = f"{type(error).__name__}: {error}"
        host.refuse(_why(reason, error.__traceback__, config["profile"]))


def _hold_back(runner_class: Any) -> None:
    """`--headless` would start its one user by itself; ours start when the runner says so."""
    first = runner_class.start

    def start(runner: Any, user_count: int, spawn_rate: float, *args: Any, **more: Any) -> Any:
        if not getattr(runner, "_gameday_held", False):
            runner._gameday_held = True
            return None
        return first(runner, user_count, spawn_rate, *args, **more)

    runner_class.start = start


def _why(reason: str, trace: Any, profile: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == profile]
    place = f"line {lines[-1]}: " if lines else ""
    return f"{place}{' '.join(reason.split())}"[:500]


if __name__ == "__main__":
    main()
