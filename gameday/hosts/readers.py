"""How each kind of probe reads the target once: good, bad or unreadable, and a word why.

Bad is whatever the target does wrong: it refuses, resets, times out, answers 5xx or the wrong thing.
Unreadable is only our own failure. A name that does not exist is the target's: users see the same. That
no name server answers is our own, unless the plan says `resolver: target` (see `hosts.names`).
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gameday.history.events import Reading
from gameday.hosts.httpjson import json_reader
from gameday.hosts.httpprobe import connect, exchange, kind_of
from gameday.hosts.names import Unresolved
from gameday.hosts.processes import kill_all
from gameday.hosts.prometheus import monitoring_reader
from gameday.hosts.words import one_line
from gameday.plan.model import NS, Probe, ProbeKind

Reader = Callable[[], tuple[Reading, str]]
GOOD = (Reading.GOOD, "")


def reader_of(probe: Probe, run: str) -> Reader:
    """Return the function that takes one sample of a built-in probe.

    Args:
        probe: The probe; its kind is not `activity`.
        run: The run's id, put in place of `${run}` in the specification.
    """
    spec: dict[str, Any] = json.loads(probe.spec.replace("${run}", run))
    timeout_s = probe.timeout_ns / NS
    match probe.kind:
        case ProbeKind.HTTP:
            return _http(spec, timeout_s)
        case ProbeKind.TCP:
            return _tcp(spec, timeout_s)
        case ProbeKind.SQL:
            return _sql(spec, timeout_s)
        case ProbeKind.PROCESS:
            return _process(spec, timeout_s)
        case ProbeKind.PROMETHEUS | ProbeKind.ALERTMANAGER:
            return monitoring_reader(probe.kind, spec, timeout_s)
        case ProbeKind.ACTIVITY:
            raise ValueError("an activity is read in a host of its own")


def _http(spec: dict[str, Any], timeout_s: float) -> Reader:
    method = spec.get("method", "GET")
    accepted = spec.get("status") or list(range(200, 300))
    wanted = str(spec.get("contains", "")).encode()
    body = spec.get("body")
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body else None
    headers = {str(name): str(value) for name, value in (spec.get("headers") or {}).items()}
    silent = _silent(spec)
    if data is not None:
        headers.setdefault("Content-Type", "application/json")

    if spec.get("json"):
        ask = partial(exchange, spec["url"], method=method, body=data, headers=headers, timeout_s=timeout_s)
        return json_reader(spec["json"], frozenset(accepted), ask)

    def read() -> tuple[Reading, str]:
        answer = exchange(spec["url"], method=method, body=data, headers=headers, timeout_s=timeout_s)
        if answer.status is None:
            return (silent if answer.unresolved else Reading.BAD), answer.error
        if answer.status not in accepted:
            return Reading.BAD, f"HTTP {answer.status}"
        if wanted and wanted not in answer.body:
            return Reading.BAD, "wrong answer"
        return GOOD

    return read


def _silent(spec: dict[str, Any]) -> Reading:
    """Return what it says when no name server answers."""
    return Reading.BAD if spec.get("resolver") == "target" else Reading.UNREADABLE


def _tcp(spec: dict[str, Any], timeout_s: float) -> Reader:
    silent = _silent(spec)

    def read() -> tuple[Reading, str]:
        try:
            connect(spec["host"], int(spec["port"]), time.monotonic() + timeout_s).close()
        except Unresolved as error:
            return silent, kind_of(error)
        except OSError as error:
            return Reading.BAD, kind_of(error)
        return GOOD

    return read


def _sql(spec: dict[str, Any], timeout_s: float) -> Reader:
    from gameday.hosts.sqlprobe import first_value  # noqa: PLC0415 - only plans with a SQL probe pay for it

    expect = spec.get("expect")
    silent = _silent(spec)

    def read() -> tuple[Reading, str]:
        try:
            value = first_value(spec["dsn"], spec["query"], timeout_s)
        except TimeoutError:
            return Reading.BAD, "timeout"
        except Unresolved as error:
            return silent, kind_of(error)
        except OSError as error:
            return Reading.BAD, one_line(str(error), 120)
        if expect is not None and value != str(expect):
            return Reading.BAD, "wrong answer"
        return GOOD

    return read


def _process(spec: dict[str, Any], timeout_s: float) -> Reader:
    def read() -> tuple[Reading, str]:
        until_s = time.monotonic() + timeout_s
        try:
            child = subprocess.Popen(
                spec["argv"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return Reading.UNREADABLE, f"{spec['argv'][0]}: {error.strerror}"
        has_ended = _ended_by(child.pid, until_s)
        # Not reaped yet, so its group is its own: what it left behind would add up sample by sample.
        os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        if not has_ended:
            kill_all(child.pid)
            return Reading.BAD, "timeout"
        if code < 0:  # Somebody killed the prober; that says nothing about the target.
            return Reading.UNREADABLE, f"ended by {signal.Signals(-code).name}"
        return GOOD if code == 0 else (Reading.BAD, f"exit {code}")

    return read


def _ended_by(pid: int, until_s: float) -> bool:
    """Wait for the end of a child without reaping it; tell whether it came in time."""
    handle = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(max(until_s - time.monotonic(), 0.0) * 1000))
    finally:
        os.close(handle)
