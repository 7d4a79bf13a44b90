"""The process in which Chaos Toolkit activities run, one at a time. The only importer of chaoslib.

Started as a program it is the fork server of all hosts of one asker (see `hosts.forkserver`).

User code may hang, fork, hold the interpreter lock, print garbage or call `exit`; none of it can
reach the deciding process. The protocol is JSON lines on private copies of stdin and stdout:

    → {"arm": {"jobs": {…}, "configuration": {…}}}      ← {"armed": true} | {"refused": "why"}
    → {"go": "STEP", "role": "do"|"undo", "token": n}    ← {"token": n, …result…}

Stdout and stdin of user code lead to the log and to nothing. When stdin ends the runner is dead:
whatever is being *done* stops at once and nothing more is begun, an *undo* may finish.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

from gameday.hosts.clock import boot_ns
from gameday.hosts.experimenthost import Play
from gameday.hosts.forkserver import serve
from gameday.hosts.processes import MARKER, NAME_PREFIX, kill_all
from gameday.hosts.words import error_line, one_line

READ_BACK_WAIT_S = 1.0
READ_BACK_PAUSE_S = 0.02
MARGIN_S = 0.2


class Host:
    """One host: its jobs, and the pipe to the runner."""

    def __init__(self, inlet: int, outlet: int) -> None:
        self._inlet = inlet
        self._outlet = outlet
        self._pid = os.getpid()
        self._base = os.environ.get(MARKER, "")
        self._jobs: dict[str, Any] = {}
        self._configuration: dict[str, str] = {}
        self._tolerance: Any = None
        self._plays: dict[str, Play] = {}
        self._say = threading.Lock()
        self._role = ""
        self._requests: list[dict[str, Any]] = []
        self._wake = threading.Condition()
        self._ended = False

    def serve(self) -> None:
        """Take requests until stdin ends."""
        threading.Thread(target=self._read, daemon=True).start()
        while (request := self._next()) is not None:
            if "arm" in request:
                self._reply(self._arm(request["arm"]))
                continue
            self._mark(str(request["token"]))
            reply = self._carry_out(request)
            self._mark("")
            with self._wake:
                self._role = ""
            self._reply({"token": request["token"], **reply})

    def _next(self) -> dict[str, Any] | None:
        """Return the next request, or None at the end. Its role counts from here on."""
        with self._wake:
            self._wake.wait_for(lambda: self._requests or self._ended)
            if self._ended:
                return None
            request = self._requests.pop(0)
            self._role = request.get("role", "")
            return request

    def _read(self) -> None:
        buffer = b""
        while data := os.read(self._inlet, 65536):
            *lines, buffer = (buffer + data).split(b"\n")
            with self._wake:
                self._requests.extend(json.loads(line) for line in lines)
                self._wake.notify()
        with self._wake:
            self._ended = True
            role = self._role
            self._wake.notify()
        if role not in ("", "undo"):
            kill_all(self._pid, self._base, os.environ.get(MARKER, ""))
            os._exit(1)

    def _mark(self, token: str) -> None:
        """Name what runs now, for the environment of its children and for whoever has to kill it."""
        os.environ[MARKER] = f"{self._base}.{token}" if token else self._base
        try:
            Path("/proc/self/comm").write_text(f"{NAME_PREFIX}{token or 'idle'}", encoding="ascii")
        except OSError:
            return  # Only a help for a killer that knows nothing else.

    def _reply(self, reply: dict[str, Any]) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # User code forked and returned twice; only the host itself may speak.
        try:
            with self._say:
                os.write(self._outlet, json.dumps(reply).encode() + b"\n")
        except OSError:
            os._exit(1)  # A host that cannot answer must not look alive.

    def _arm(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._configuration = asked["configuration"]
        self._jobs = asked["jobs"]
        self._tolerance = asked.get("tolerance")
        for name, job in self._jobs.items():
            if job["activity"]["provider"].get("type") == "experiment":
                step = name.rpartition("/")[0]
                self._plays[name] = Play(job["activity"]["provider"], step, self._configuration)
                if reason := self._plays[name].arm():
                    return {"refused": f"{name}: {reason}"}
                continue
            for key in ("activity", "in_place"):
                reason = why_not(job[key]) if job[key] is not None else ""
                if reason:
                    part = " (its in_place)" if key == "in_place" else ""
                    return {"refused": f"{name}{part}: {reason}"}
        return {"armed": True}

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._jobs[f"{request['go']}/{request['role']}"]
        began_ns, began_s = boot_ns(), time.monotonic()
        if (play := self._plays.get(f"{request['go']}/{request['role']}")) is not None:
            return {
                "began": began_ns,
                "in_place": None,
                "read_back": None,
                **self._play(play, request["role"]),
            }
        if request["role"] == "read":
            return {"began": began_ns, "read_back": None, **self._sample(job["activity"])}
        if request["role"] == "look":
            found = self._read_back(job["activity"], wanted=False, wait_s=0.0)
            return {"began": began_ns, "error": "", **found}
        error = says = ""
        try:
            value = run(job["activity"], self._configuration)
            failed(job["activity"], value)
            says = one_line(str(value.get("says", ""))) if isinstance(value, dict) else ""
        except BaseException as raised:  # noqa: BLE001 - user code may raise anything, SystemExit too
            error = error_line(raised)
            if job["activity"]["provider"]["type"] == "process":
                kill_all(0, os.environ[MARKER])  # chaoslib ends only the child itself, not its children.
        reply: dict[str, Any] = {"began": began_ns, "error": error, "in_place": None, "read_back": None}
        reply |= {"says": says}
        if job["in_place"] is not None:
            wanted = request["role"] == "do"
            left_s = request["timeout_s"] - (time.monotonic() - began_s) - MARGIN_S
            # An undo that raised is to be tried again soon, and not watched until its time is up.
            wait_s = READ_BACK_WAIT_S if wanted or error else max(left_s, 0.0)
            reply |= self._read_back(job["in_place"], wanted=wanted, wait_s=wait_s)
        return reply

    def _play(self, play: Play, role: str) -> dict[str, Any]:
        """Carry out an experiment, or play the rollbacks that it still owes."""
        note = lambda said: self._reply({"note": said})  # noqa: E731 - one use in two places
        if role == "undo":
            try:
                return {"error": play.undo(note)}
            except BaseException as raised:  # noqa: BLE001 - user code may raise anything
                return {"error": error_line(raised)}
        ended = play.do(note)
        return {"error": "", "says": ended["status"], "experiment": ended}

    def _sample(self, activity: dict[str, Any]) -> dict[str, Any]:
        """Read a probe and judge it: held, not held, or (an error) not read at all.

        A probe that raises ActivityFailed on purpose says that the target failed; anything else it
        raises is its own trouble. A value that cannot be compared was not read either.
        """
        from chaoslib.exceptions import ActivityFailed  # noqa: PLC0415 - only here

        try:
            value = run(activity, self._configuration)
        except BaseException as raised:  # noqa: BLE001 - user code may raise anything
            cause = raised.__context__ if isinstance(raised, ActivityFailed) else raised
            by_target = cause is None or isinstance(cause, ActivityFailed)
            if activity["provider"]["type"] != "python":
                by_target = isinstance(raised, ActivityFailed)
            text = error_line(raised)
            if by_target:
                return {"in_place": False, "error": "", "read_back_error": text}
            return {"in_place": None, "error": text}
        try:
            held = within(self._tolerance, value)
        except BaseException as raised:  # noqa: BLE001 - NaN and None raise all sorts in there
            return {"in_place": None, "error": f"{shown(value)} cannot be compared: {error_line(raised)}"}
        if held is None:
            return {"in_place": None, "error": f"{shown(value)} cannot be compared"}
        return {"in_place": held, "error": "", "read_back_error": "" if held else f"value {shown(value)}"}

    def _read_back(self, probe: dict[str, Any], *, wanted: bool, wait_s: float) -> dict[str, Any]:
        """Read the fault back until it is as wanted, or the time is up."""
        give_up_s = time.monotonic() + wait_s
        while True:
            try:
                found: bool | None = truth(probe, run(probe, self._configuration))
                error = ""
            except BaseException as raised:  # noqa: BLE001 - as above
                found, error = None, f"it could not be read back: {error_line(raised)}"
            at_ns = boot_ns()
            if found is wanted or time.monotonic() >= give_up_s:
                return {"in_place": found, "read_back": at_ns, "read_back_error": error}
            time.sleep(READ_BACK_PAUSE_S)


def within(tolerance: object, value: object) -> bool | None:
    """Tell whether a probe's value is within a Chaos Toolkit tolerance; None when nothing was read.

    Raises:
        Exception: chaoslib raises many kinds for values it did not expect (None, NaN, wrong types).
    """
    from chaoslib.hypothesis import within_tolerance  # noqa: PLC0415 - only probes need it

    if value is None or value != value:  # noqa: PLR0124 - NaN: the monitoring had no data
        return None
    return bool(within_tolerance(tolerance, value))


def shown(value: object) -> str:
    """Return a value as it may stand in a record."""
    try:
        return one_line(repr(value), 100)
    except Exception:  # noqa: BLE001 - a foreign repr may fail
        return type(value).__name__


def failed(activity: dict[str, Any], value: object) -> None:
    """Take a provider's value for what it says: Chaos Toolkit calls a program's exit 1 a success.

    Raises:
        OSError: A program ended with anything but 0, or an HTTP answer was 4xx or 5xx.
    """
    kind = activity["provider"]["type"]
    if not isinstance(value, dict) or kind == "python":
        return
    status = value.get("status")
    if kind == "process" and status != 0:
        raise OSError(f"exit {status}: {one_line(str(value.get('stderr') or value.get('stdout')), 200)}")
    if kind == "http" and isinstance(status, int) and status >= 400:
        raise OSError(f"HTTP {status}")


def truth(activity: dict[str, Any], value: object) -> bool:
    """Return what a read-back says. None is no answer, and neither is a text: "false" is true.

    Raises:
        ValueError: It says neither yes nor no.
    """
    if isinstance(value, dict) and activity["provider"]["type"] == "process":
        value = {0: True, 1: False}.get(value.get("status", -1))
    elif isinstance(value, dict) and activity["provider"]["type"] == "http":
        status, body = value.get("status", 0), value.get("body")
        found = {404: False, 410: False}.get(status, True if 200 <= status < 300 else None)
        value = body if found and isinstance(body, bool) else found
    if isinstance(value, bool):
        return value
    raise ValueError(f"{shown(value)} is neither true nor false")


def why_not(activity: dict[str, Any]) -> str:
    """Return why an activity cannot be run, or nothing. Imports its module."""
    from chaoslib.activity import ensure_activity_is_valid  # noqa: PLC0415 - paid in `main`

    provider = activity["provider"]
    try:
        if provider.get("type") == "python":
            return _why_not_python(provider)
        ensure_activity_is_valid(activity)
    except BaseException as raised:  # noqa: BLE001 - importing runs user code; wrong shapes raise all sorts
        return error_line(raised)
    return ""


def _why_not_python(provider: dict[str, Any]) -> str:
    name, func = str(provider.get("module")), str(provider.get("func"))
    try:
        module = importlib.import_module(name)
    except BaseException as raised:  # noqa: BLE001 - importing runs user code
        return f"module {name!r} cannot be imported: {error_line(raised)}"
    function = getattr(module, func, None)
    if not callable(function):
        return f"module {name!r} has no function {func!r}"
    arguments = dict(provider.get("arguments") or {})
    signature = inspect.signature(function)
    arguments |= {key: {} for key in ("configuration", "secrets") if key in signature.parameters}
    try:
        signature.bind(**arguments)
    except TypeError as raised:
        return f"{name}.{func}: {raised}"
    return ""


def run(activity: dict[str, Any], configuration: dict[str, str]) -> object:
    """Run one activity through Chaos Toolkit and return its value.

    Names in it were bound long ago, so chaoslib must find nothing to substitute: `$` stands for
    itself. Only Python functions get the configuration.

    Raises:
        ActivityFailed: As chaoslib has it; user code may raise anything else.
    """
    from chaoslib.activity import run_activity  # noqa: PLC0415 - not before it is needed

    provider = activity["provider"]
    if provider["type"] != "python":
        return cast("object", run_activity(activity, {}, {}))
    arguments = dict(provider.get("arguments") or {})
    provider = provider | {"arguments": _literal(arguments) if configuration else arguments}
    return cast("object", run_activity(activity | {"provider": provider}, configuration, {}))


def _literal(data: Any) -> Any:
    if isinstance(data, str):
        return data.replace("$", "$$")
    if isinstance(data, dict):
        return {key: _literal(value) for key, value in data.items()}
    return [_literal(item) for item in data] if isinstance(data, list) else data


def main() -> None:
    """Be the fork server of all hosts: import once, fork often. argv[1] is its socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import chaoslib.activity  # noqa: PLC0415 - paid now, once, while nothing waits for it
    import chaoslib.hypothesis  # noqa: F401, PLC0415 - as above

    serve(socket.socket(fileno=int(sys.argv[1])), _host)


def _host() -> None:
    """Serve on private copies of stdin and stdout; user code gets /dev/null and the log."""
    inlet, outlet = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - the project's own actions live beside its plans
    host = Host(inlet, outlet)
    host.serve()
    # Not `sys.exit`: threads and exit handlers of user code must not keep a host alive.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
