"""The process in which Chaos Toolkit activities run, one at a time. The only importer of chaoslib.

User code may hang, fork, hold the interpreter lock, print garbage or call `exit`; none of it can
reach the deciding process. The protocol is JSON lines on private copies of stdin and stdout:

    → {"arm": {"jobs": {…}, "configuration": {…}}}      ← {"armed": true} | {"refused": "why"}
    → {"go": "STEP", "role": "do"|"undo", "token": n}    ← {"token": n, …result…}

Stdout and stdin of user code lead to the log and to nothing. When stdin ends the runner is dead:
whatever is being *done* stops at once, an *undo* may finish.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import sys
import threading
import time
from typing import Any, cast

from gameday.hosts.clock import boot_ns
from gameday.hosts.processes import MARKER, kill_all

READ_BACK_WAIT_S = 1.0
READ_BACK_PAUSE_S = 0.02


class Host:
    """One host: its jobs, and the pipe to the runner."""

    def __init__(self, inlet: int, outlet: int) -> None:
        self._inlet = os.fdopen(inlet, "rb", buffering=0)
        self._outlet = outlet
        self._jobs: dict[str, Any] = {}
        self._configuration: dict[str, str] = {}
        self._tolerance: Any = None
        self._role = ""
        self._requests: list[dict[str, Any]] = []
        self._wake = threading.Condition()
        self._ended = False

    def serve(self) -> None:
        """Take requests until stdin ends."""
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._requests or self._ended)
                if not self._requests:
                    return
                request = self._requests.pop(0)
            if "arm" in request:
                self._reply(self._arm(request["arm"]))
            else:
                self._role = request["role"]
                reply = self._carry_out(request)
                self._role = ""
                self._reply({"token": request["token"], **reply})

    def _read(self) -> None:
        buffer = b""
        while data := self._inlet.read(65536):
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            with self._wake:
                self._requests.extend(json.loads(line) for line in lines)
                self._wake.notify()
        if self._role == "do":
            kill_all(os.getsid(0), os.environ.get(MARKER, ""))
            os._exit(1)
        with self._wake:
            self._ended = True
            self._wake.notify()

    def _reply(self, reply: dict[str, Any]) -> None:
        try:
            os.write(self._outlet, json.dumps(reply).encode() + b"\n")
        except OSError:
            return  # The runner is dead; the end of stdin says so too.

    def _arm(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._configuration = asked["configuration"]
        self._jobs = asked["jobs"]
        self._tolerance = asked.get("tolerance")
        for name, job in self._jobs.items():
            for key in ("activity", "in_place"):
                if job[key] is None:
                    continue
                reason = why_not(job[key])
                if reason:
                    return {"refused": f"{name}: {reason}"}
        return {"armed": True}

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._jobs[f"{request['go']}/{request['role']}"]
        began_ns = boot_ns()
        error = ""
        value: object = None
        try:
            value = run(job["activity"], self._configuration)
        except BaseException as raised:  # noqa: BLE001 - user code may raise anything, SystemExit too
            error = _one_line(raised)
        reply: dict[str, Any] = {"began": began_ns, "error": error, "in_place": None, "read_back": None}
        if request["role"] == "read" and not error:
            return reply | self._judge(value)
        if job["in_place"] is not None:
            wanted = request["role"] == "do"
            wait_s = READ_BACK_WAIT_S if wanted else request["read_back_s"]
            reply |= self._read_back(job["in_place"], wanted=wanted, wait_s=wait_s)
        return reply

    def _judge(self, value: object) -> dict[str, Any]:
        """A value that cannot be compared was not read: neither good nor bad."""
        try:
            held = within(self._tolerance, value)
        except BaseException as raised:  # noqa: BLE001 - NaN and None raise all sorts in there
            return {"error": f"{value!r:.100} cannot be compared: {_one_line(raised)}"}
        return {"in_place": held, "error": "", "read_back_error": "" if held else f"value {value!r:.100}"}

    def _read_back(self, probe: dict[str, Any], *, wanted: bool, wait_s: float) -> dict[str, Any]:
        """Read the fault back until it is as wanted, or the time is up."""
        give_up_s = time.monotonic() + wait_s
        while True:
            try:
                found: bool | None = bool(run(probe, self._configuration))
                error = ""
            except BaseException as raised:  # noqa: BLE001 - as above
                found, error = None, _one_line(raised)
            at_ns = boot_ns()
            if found is wanted or time.monotonic() >= give_up_s:
                return {"in_place": found, "read_back": at_ns, "read_back_error": error}
            time.sleep(READ_BACK_PAUSE_S)


def within(tolerance: object, value: object) -> bool:
    """Tell whether a probe's value is within a Chaos Toolkit tolerance.

    Raises:
        Exception: chaoslib raises many kinds for values it did not expect (None, NaN, wrong types).
    """
    from chaoslib.hypothesis import within_tolerance  # noqa: PLC0415 - only probes need it

    return bool(within_tolerance(tolerance, value))


def _one_line(raised: BaseException) -> str:
    text = " ".join(str(raised).split()) or type(raised).__name__
    return text[:500]


def why_not(activity: dict[str, Any]) -> str:
    """Return why an activity cannot be run, or nothing. Imports its module."""
    provider = activity["provider"]
    if provider.get("type") != "python":
        return ""
    try:
        module = importlib.import_module(provider["module"])
    except BaseException as raised:  # noqa: BLE001 - importing runs user code
        return f"module {provider['module']!r} cannot be imported: {_one_line(raised)}"
    function = getattr(module, provider["func"], None)
    if function is None:
        return f"module {provider['module']!r} has no function {provider['func']!r}"
    arguments = dict(provider.get("arguments") or {})
    known = inspect.signature(function).parameters
    arguments |= {name: {} for name in ("configuration", "secrets") if name in known}
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as raised:
        return f"{provider['module']}.{provider['func']}: {raised}"
    return ""


def run(activity: dict[str, Any], configuration: dict[str, str]) -> object:
    """Run one activity through Chaos Toolkit and return its value.

    Raises:
        ActivityFailed: As chaoslib has it; user code may raise anything else.
    """
    from chaoslib.activity import run_activity  # noqa: PLC0415 - not before it is needed

    return cast("object", run_activity(activity, configuration, {}))


def main() -> None:
    """Serve on private copies of stdin and stdout; user code gets /dev/null and the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inlet, outlet = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - the project's own actions live beside its plans
    import chaoslib.activity  # noqa: F401, PLC0415 - paid now, while nothing waits for it

    Host(inlet, outlet).serve()


if __name__ == "__main__":
    main()
