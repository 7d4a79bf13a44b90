"""A worker of a load whose master is on another machine: Locust's own worker, with our load host in it.

The load host is the same as on the runner's machine. Its commands and its stream are pipes within this
process, fed from and emptied into messages on Locust's connection (see `gameday.hosts.loadmaster`).

Nothing may go on without a runner. A thread that no user code can block watches for the master's pings
and ends the process when there was none for DEAF_S. It is started before Locust patches anything.
"""

from __future__ import annotations

import _thread
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SAID, DO = "gameday-said", "gameday-do"
DEAF_S = 1.5
_HELLO_EVERY_S = 0.5
_LOOK_EVERY_S = 0.1
_FLUSH_S = 0.1
_LOST, _REFUSED = 3, 3
# As they are before Locust patches them.
_exit, _sleep, _get_ident = os._exit, time.sleep, _thread.get_ident


class Worker:
    """Couples a load host to Locust's connection with the master."""

    def __init__(self, make_host: Any, profile: str, sha256: str, home: str) -> None:
        self._make_host = make_host
        self._profile, self._sha256, self._home = profile, sha256, home
        self._heard_s: float | None = None  # None: no master has welcomed us yet.
        self._runner: Any = None
        self._environment: Any = None
        self._host: Any = None
        self._parser: Any = None
        self._told = self._saying = -1
        self._main = _get_ident()
        _thread.start_new_thread(self._watch, ())

    def keep_parser(self, parser: Any, **_: Any) -> None:
        """Remember the parser of the options: it knows which of the file's own are secret."""
        self._parser = parser

    def attach(self, environment: Any, **_: Any) -> None:
        """Take hold of Locust once it is set up (its `init` event)."""
        import gevent  # noqa: PLC0415 - after Locust's patching

        self._environment, self._runner = environment, environment.runner
        self._runner.start = self._ask_for_users
        self._runner.register_message(DO, self._do)
        gevent.spawn(self._greet)

    def _greet(self) -> None:
        import gevent  # noqa: PLC0415

        hello = {"sha256": self._sha256, "place": socket.gethostname()}
        while self._heard_s is None:
            self._say({"hello": hello})
            gevent.sleep(_HELLO_EVERY_S)

    def _do(self, msg: Any, **_: Any) -> None:
        now_s = time.monotonic()
        if "bye" in msg.data:
            self._end(msg.data["bye"], _REFUSED)
        elif "welcome" in msg.data:
            self._begin(msg.data["welcome"])
        elif self._heard_s is None or self._host is None:
            return
        elif "ping" in msg.data:
            if now_s - self._heard_s > DEAF_S:  # We were stopped: others have our share by now.
                self._end(f"no word from the master for {DEAF_S:g} s", _LOST)
            self._heard_s = now_s
            self._say({"pong": [msg.data["ping"], _boot_ns()]})
        elif "do" in msg.data:
            os.write(self._told, json.dumps(msg.data["do"]).encode() + b"\n")

    def _begin(self, config: dict[str, Any]) -> None:
        """Become a generator of the master's load, if the profile is the one that its plan means."""
        import gevent  # noqa: PLC0415

        if self._host is not None:
            return
        if config["sha256"] != self._sha256:
            self._end(f"the plan's profile has the SHA-256 {config['sha256'][:12]}…, not ours", _REFUSED)
        commands, self._told = os.pipe()
        self._saying, stream = os.pipe()
        os.set_blocking(self._saying, False)
        self._heard_s = time.monotonic()
        setattr(os, "_exit", self._leave)  # noqa: B010 - a load host ends itself with it
        self._host = self._make_host({**config, "profile": self._profile}, commands, stream)
        self._host.keep_parser(self._parser)
        self._host.attach(self._environment)
        gevent.spawn(self._pass_on)

    def _pass_on(self) -> None:
        """Send on what the load host says, line by line."""
        import gevent.os  # noqa: PLC0415

        rest = b""
        while True:
            *lines, rest = (rest + gevent.os.nb_read(self._saying, 1 << 20)).split(b"\n")
            for line in lines:
                self._say({"line": json.loads(line)})

    def _leave(self, code: int) -> None:
        """What the load host calls to end the process: its last words go out first."""
        if _get_ident() != self._main:
            _sleep(_FLUSH_S)  # Only the main thread may send; if it can, it does so meanwhile.
            self._end("", code)
        try:
            for line in os.read(self._saying, 1 << 20).splitlines():
                self._say({"line": json.loads(line)})
        except (OSError, ValueError):
            pass  # There were none, or half a line.
        _sleep(_FLUSH_S)  # Locust's connection sends from a thread of its own.
        self._end("", code)

    def _ask_for_users(self, user_count: int, *_: Any, **__: Any) -> None:
        """Locust spreads users from the master, so it is told how many are needed here."""
        self._say({"users": user_count})

    def _say(self, data: dict[str, Any]) -> None:
        self._runner.send_message(SAID, data)

    def _watch(self) -> None:
        """End everything when the master is not heard any more. A thread: user code may block Locust."""
        while True:
            _sleep(_LOOK_EVERY_S)
            if self._heard_s is not None and time.monotonic() - self._heard_s > DEAF_S:
                self._end(f"no word from the master for {DEAF_S:g} s", _LOST)

    def _end(self, reason: str, code: int) -> None:
        if reason:
            os.write(2, f"gameday load worker: {reason}\n".encode())
        shutil.rmtree(self._home, ignore_errors=True)
        _exit(code)


def work(make_host: Any, host: str, port: str, profile: str, sha256: str = "") -> None:
    """Serve a master until it sends us away. Does not return before.

    Args:
        make_host: Makes a load host of (configuration, commands, stream).
        host: Where the master is.
        port: Its port.
        profile: The Locust file, an absolute path.
        sha256: If given, the only digest that the file may have.
    """
    found = hashlib.sha256(Path(profile).read_bytes()).hexdigest()
    if sha256 and not found.startswith(sha256.lower()):
        _refuse(f"{profile}: its SHA-256 is {found}, not {sha256}")
    project, home = str(Path.cwd()), tempfile.mkdtemp(prefix="gameday-worker-")
    for name in [name for name in os.environ if name.startswith("LOCUST_")]:
        del os.environ[name]
    os.environ["HOME"] = home
    os.chdir(home)  # Locust reads settings from the folder it is started in.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["locust", "-f", profile, "--worker", "--master-host", host, "--master-port", port]
    sys.argv += ["--loglevel", "ERROR"]
    sys.path[:0] = [str(Path(profile).parent), project]
    worker = Worker(make_host, profile, found, home)
    try:
        import locust.main  # noqa: PLC0415 - see the module docstring
        from locust import events  # noqa: PLC0415

        events.init.add_listener(worker.attach)  # type: ignore[no-untyped-call]
        events.init_command_line_parser.add_listener(worker.keep_parser)  # type: ignore[no-untyped-call]
        locust.main.main()  # type: ignore[no-untyped-call]
    except KeyboardInterrupt:
        sys.exit(4)
    except Exception as error:  # noqa: BLE001 - user code, at import
        _refuse(f"{profile}: {type(error).__name__}: {' '.join(str(error).split())}"[:500])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _refuse(reason: str) -> None:
    os.write(2, f"gameday load worker: {reason}\n".encode())
    sys.exit(_REFUSED)


def _boot_ns() -> int:
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
