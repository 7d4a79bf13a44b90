"""The runner's side of one generator: arm it, start, change and stop its load, never wait for it.

Locust is only ever a child process. It is stopped by its control pipe, then by SIGINT, then killed;
and because the pipe is a lifeline, it stops by itself when the runner dies.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gameday.canonical import from_json
from gameday.errors import RecordError, Refused
from gameday.history.loadevents import GeneratorReady, LoadBucket, LoadReported
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.processes import MARKER, kill_all, marker_of, new_family, send
from gameday.hosts.words import one_line
from gameday.plan.model import Load
from gameday.plan.pacing import is_open

QUIT_WAIT_S = 1.0
WORKERS_WAIT_S = 60.0


class LoadHost:
    """One Locust process: all of a load, or generator number `generator` of it.

    `heard_ns` is when it last said anything; what it reports goes to `report`, else to the inbox.
    """

    def __init__(
        self,
        load: Load,
        *,
        project: Path,
        folder: Path,
        clock: RunClock,
        inbox: Inbox,
        generator: int = 0,
        report: Callable[[LoadReported], None] | None = None,
    ) -> None:
        self.marker = marker_of(new_family(), 0)
        self.generator = generator
        self.heard_ns = 0
        self._report = report or self._post
        self._load = load
        self._project = project.resolve()
        self._folder = folder
        self._clock = clock
        self._inbox = inbox
        self._ready = threading.Event()
        self._refused = ""
        self._failed = ""
        self._ending = False
        self._process: subprocess.Popen[bytes] | None = None
        self._commands = -1

    @property
    def pid(self) -> int:
        """The process id of the load host."""
        assert self._process is not None
        return self._process.pid

    def arm(self, timeout_s: float) -> None:
        """Start Locust and wait until it is ready and idle.

        Raises:
            Refused: The file cannot be run, or it is not the one that the plan was made with.
        """
        self.launch()
        self.await_ready(timeout_s)

    def launch(self) -> None:
        """Start Locust, without waiting for it.

        Raises:
            Refused: The profile is not the one that the plan was made with.
        """
        self._check_profile()
        self._folder.mkdir(parents=True, exist_ok=True)
        inlet, self._commands = os.pipe()
        stream, outlet = os.pipe()
        try:
            self._spawn(inlet, outlet)
        finally:
            os.close(inlet)
            os.close(outlet)
        threading.Thread(target=self._listen, args=(stream,), name="load", daemon=True).start()

    def await_ready(self, timeout_s: float) -> None:
        """Wait until it is ready and idle.

        Raises:
            Refused: The file cannot be run.
        """
        if not self._ready.wait(timeout_s + (WORKERS_WAIT_S if self._load.workers else 0)):
            self._refused = f"it was not ready within {timeout_s:g} s"
        refused = self._refused
        if refused:
            self.close()
            todo = f"Try it alone: locust -f {self._load.profile}. "
            if self._load.workers:
                todo = f"Start on each machine: {worker_command(self._load)}\n  "
            raise Refused(
                f"load profile {self._load.profile}: {refused}",
                todo=f"{todo}Its output is in {self._folder}/locust.log.",
            )

    def _check_profile(self) -> None:
        """What was judged and approved is the profile of that digest, and no other file is run."""
        path = self._project / self._load.profile
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise Refused(f"load profile {self._load.profile}: cannot be read: {error.strerror}") from None
        if found != self._load.profile_sha256:
            raise Refused(
                f"load profile {self._load.profile}: its SHA-256 begins with {found[:12]}, "
                f"the plan was made with {self._load.profile_sha256[:12]}",
                todo="It was edited since the plan was read: look at it, and start again.",
            )

    def _spawn(self, inlet: int, outlet: int) -> None:
        log = (self._folder / "locust.log").open("ab")
        env = {k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")}
        env |= {"HOME": str(self._folder), MARKER: self.marker}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [_package_root(), env.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gameday.hosts.loadhost", str(inlet), str(outlet)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=self._folder,
            env=env,
            pass_fds=(inlet, outlet),
        )
        log.close()
        config = {
            "load": self._load.name,
            "profile": str(self._project / self._load.profile),
            "project": str(self._project),
            "host": self._load.host,
            "options": list(self._load.options),
            "max_users": self._load.max_users,
            "open_loop": is_open(self._load),
            "timeout_s": self._load.timeout_ns / 1e9,
            "arrivals": self._load.arrivals,
            "seed": self._load.seed,
            "stages": [(s.over_ns, s.rate_per_1000s, s.users) for s in self._load.stages],
            "shape": self._load.shape,
            "trace": self._load.trace,
            "run": _run_of(self._folder),
            "origin_boot_ns": str(self._clock.origin_boot_ns),
            "generator": self.generator,
            "sha256": self._load.profile_sha256,
            "workers": self._load.workers,
            "bind": self._load.bind,
            "wait_s": WORKERS_WAIT_S,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(config).encode() + b"\n")
        self._process.stdin.close()

    def start(self, rate_per_1000s: int | None, users: int | None) -> None:
        """Begin to send load, all of it from here; with neither, what the plan's stages or the file say."""
        self.obey("start", {**ask_of(rate_per_1000s, users), "max_users": self._load.max_users})

    def change(self, rate_per_1000s: int | None, users: int | None) -> None:
        """Change the load from this instant on."""
        self.obey("change", {**ask_of(rate_per_1000s, users), "max_users": self._load.max_users})

    def obey(self, word: str, ask: dict[str, Any]) -> None:
        """Hand over one ask (see `gameday.hosts.shares`): `start` or `change`."""
        self._send({word: ask})

    def stop(self) -> None:
        """Stop sending; Locust stays for its last words until `close`."""
        self._send({"stop": True})

    def kill(self) -> None:
        """Kill Locust and everything it started."""
        if self._process is not None:
            self._ending = True
            # Once it has been waited for, its pid may be anybody's; its children still carry the mark.
            leader = self._process.pid if self._process.returncode is None else 0
            kill_all(leader, self.marker)

    def end(self, reason: str) -> None:
        """Kill Locust, which is then reported lost for this reason."""
        if self._process is not None and self._process.returncode is None:
            self._failed = self._failed or reason
            kill_all(self._process.pid, self.marker)

    def close(self) -> None:
        """End Locust: by command, then SIGINT, then SIGKILL."""
        process = self._process
        if process is None or self._commands < 0:
            return
        self._ending = True
        self._send({"quit": True})
        if not _gone(process, QUIT_WAIT_S):
            send(process.pid, signal.SIGINT)
            _gone(process, QUIT_WAIT_S)
        self.kill()
        process.wait()
        os.close(self._commands)
        self._commands = -1

    def _send(self, command: dict[str, Any]) -> None:
        try:
            os.write(self._commands, json.dumps(command).encode() + b"\n")
        except OSError:
            return  # It is dead, which `_listen` reports.

    def _listen(self, stream: int) -> None:
        with os.fdopen(stream, "rb") as lines:
            for line in lines:
                self._take(line)
        assert self._process is not None
        code = self._process.wait()
        if not self._ready.is_set():
            self._refused = self._refused or f"it ended with {code} before it was ready{self._last_words()}"
            self._ready.set()
        elif not self._ending:
            # What was killed had no time for last words: those in its log are others.
            words = self._last_words() if code >= 0 else ""
            detail = self._failed or f"it ended with {code}{words}"
            self._report(LoadReported(self._load.name, "lost", one_line(detail)))

    def _take(self, line: bytes) -> None:
        self.heard_ns = self._clock.now_ns()
        message = _message_of(line)
        if "bucket" in message:
            self._count(message["bucket"])
        elif "software" in message:
            self._describe(message)
        elif "ready" in message:
            self._ready.set()
        elif "refused" in message:
            self._refused = message["refused"]
            self._ready.set()
        elif "failed" in message:
            self._failed = message["failed"]
        elif "state" in message:
            detail = one_line(message.get("detail", ""))
            self._report(LoadReported(self._load.name, message["state"], detail))

    def _count(self, data: Any) -> None:
        try:
            bucket = from_json(LoadBucket, {"generator": self.generator} | data)
        except RecordError:
            return
        if self._clock.now_ns() >= 0:
            self._inbox.put((self._clock.now_ns(), bucket))

    def _describe(self, message: dict[str, Any]) -> None:
        """Keep what a generator is made of; a master says it for each of its workers."""
        number = message.get("generator", self.generator)
        pairs = [
            tuple((one_line(k), one_line(v)) for k, v in message[key]) for key in ("software", "options")
        ]
        self._post(GeneratorReady(self._load.name, number, *pairs))
        if message.get("ready"):
            self._ready.set()

    def at_step(self, step: str) -> None:
        """Name the step that runs from now on, for the headers of each request."""
        if self._load.trace:
            self._send({"step": step})

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "locust.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1][:200]}" if said else ""

    def _post(self, event: LoadReported | GeneratorReady) -> None:
        self._inbox.put((self._clock.now_ns(), event))


def ask_of(rate_per_1000s: int | None, users: int | None) -> dict[str, Any]:
    """Return an ask: a rate, a number of users, or neither: what the plan or the file has of its own."""
    if rate_per_1000s is not None:
        return {"rate": rate_per_1000s / 1000}
    return {"users": users} if users else {}


def worker_command(load: Load) -> str:
    """Return the command that starts one worker of a load, to be given on its machine."""
    return (
        f"gameday load worker --master {load.bind} --profile {load.profile} "
        f"--sha256 {load.profile_sha256[:16]}"
    )


def _message_of(line: bytes) -> dict[str, Any]:
    """Return what a generator said; nothing where it is no message, as user code may write here too."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _run_of(folder: Path) -> str:
    """Return the name of the run that a host's folder belongs to; its own name outside of one."""
    return next((f.parent.name for f in (folder, *folder.parents) if f.name == "hosts"), folder.name)


def _package_root() -> str:
    return str(Path(__file__).resolve().parents[2])


def _gone(process: subprocess.Popen[bytes], wait_s: float) -> bool:
    give_up_s = time.monotonic() + wait_s
    while process.poll() is None and time.monotonic() < give_up_s:
        time.sleep(0.005)
    return process.poll() is not None
