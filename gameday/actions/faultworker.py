"""The process of a fault: it reads what to do, has its effect, says so, and ends after its time to live.

    stdin   {"kind","config","ttl_s"} in one line; an end of file before it means that the starter died
    stdout  `ready`, or `error` with a reason

An alarm ends it with every process that carries its mark, and a second, later one, which no code of
ours has to answer, ends it even when the first finds the interpreter stuck. Kind `timer` has no
effect of its own: when its time has come it takes back a fault that needs no process, such as a
stopped process or a queueing discipline.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import time
from typing import Any

from gameday.actions import faults, procs

_LATE_S = 5.0
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do one fault's work, found in `gameday.actions.work` or `gameday.actions.postgreswork`."""
    name = sys.argv[2]
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        os._exit(0)
    asked = json.loads(line)
    kind, config, ttl_s = asked["kind"], asked["config"], float(asked["ttl_s"])
    try:
        if kind == "timer":
            _ready()
            _wait_and_take_back(name, config, ttl_s)
        else:
            _arm_alarm(name, ttl_s)
            module, _, func = kind.rpartition(".")
            getattr(importlib.import_module(f"gameday.actions.{module}"), func)(config, _ready)
            while True:
                signal.pause()
    except Exception as error:  # noqa: BLE001 - whatever it is, the starter has to be told
        _say(f"error {' '.join(str(error).split())[:300] or type(error).__name__}")
        _leave(name)


def _arm_alarm(name: str, ttl_s: float) -> None:
    def ended(number: int, frame: Any) -> None:
        del number, frame
        _leave(name)

    signal.signal(signal.SIGALRM, ended)
    signal.setitimer(signal.ITIMER_REAL, ttl_s)
    backstop = os.fork()
    if backstop == 0:
        die_with_parent()
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(ttl_s + _LATE_S)
        _leave(name)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _leave(name: str) -> None:
    for process in faults.workers(name):
        procs.send(process, signal.SIGKILL)
    os._exit(0)


def _wait_and_take_back(name: str, config: dict[str, Any], ttl_s: float) -> None:
    time.sleep(ttl_s)
    take_back = getattr(importlib.import_module(config["module"]), config["func"])
    for _ in range(20):
        try:
            take_back(**config["arguments"])
            return_code = 0
            break
        except Exception as error:  # noqa: BLE001 - it has to be tried again, whatever it was
            sys.stderr.write(f"{name}: {error}\n")
            return_code = 1
            time.sleep(0.5)
    os._exit(return_code)


def _ready() -> None:
    _say("ready")


def _say(text: str) -> None:
    try:
        os.write(1, text.encode() + b"\n")
    except OSError:
        return  # Said already, and nobody listens any more.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    main()
