"""The safety levers: engaged, one of them halts what runs and refuses what would start.

The project's own is one small file, `.gameday/lever.json`; it is engaged when it is there. A policy may
name more: files on a shared path, http(s) URLs and S3 objects. Those must be there and say which way they
stand, because a share that is not mounted looks just like a lever that nobody engaged:

    {"engaged": true, "by": "m.okafor", "utc": "2026-11-24T20:00:00Z", "reason": "incident 4711"}

A lever that cannot be read lets nothing start; a drill that runs goes on for the lever's silence limit
and then halts. Each lever is read by a thread of its own, so a path that hangs, or a server that never
ends its answer, can block no decision.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gameday.errors import LeverUnreadable, NotAuthorised, Refused
from gameday.hosts.clock import utc_text
from gameday.hosts.objectlink import ObjectLink
from gameday.hosts.words import one_line
from gameday.plan.model import NS
from gameday.plan.objecturl import SCHEME, ObjectUrl, object_url
from gameday.plan.policy import Policy, default_policy

LOOK_EVERY_S = 0.25
ASK_EVERY_S = 1.0
FIRST_WORD_S = 5.0
FIRST_OBJECT_S = 15.0  # Its host is started first.
HTTP_TIMEOUT_S = 3.0
ANSWER_MAX = 1 << 16


class _Written:
    """What levers that are written here have in common."""

    def engage(self, *, by: str, reason: str) -> None:
        """Engage it, whatever stands there. Engaging twice keeps the later name and reason.

        Raises:
            Refused: It cannot be written.
        """
        self._write({"engaged": True, "by": by, "reason": reason, "utc": utc_text()})

    def release(self, *, by: str = "") -> bool:
        """Release it; tell whether it was engaged, as far as that can be told.

        Raises:
            Refused: It cannot be written.
        """
        try:
            was_engaged = bool(self.read())
        except LeverUnreadable:
            was_engaged = True
        self._stand_down(by)
        return was_engaged

    def read(self) -> str:
        """Return who engaged it and why; empty when it is released."""
        raise NotImplementedError

    def _stand_down(self, by: str) -> None:
        self._write({"engaged": False, "by": by, "reason": "", "utc": utc_text()})

    def _write(self, record: dict[str, Any]) -> None:
        raise NotImplementedError


class Lever(_Written):
    """One lever that is a file."""

    def __init__(self, path: Path, *, is_shared: bool = False) -> None:
        self.path = path
        self.is_shared = is_shared

    @property
    def name(self) -> str:
        """How it is called in messages."""
        return str(self.path)

    def read(self) -> str:
        """Return who engaged it and why; empty when it is released.

        Raises:
            LeverUnreadable: It cannot be told.
        """
        try:
            # Not blocking: a pipe in the lever's place must not hold the reader for ever.
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "rb") as file:
                data = file.read(ANSWER_MAX)
        except FileNotFoundError as error:
            if not self.is_shared:
                return ""
            raise _unreadable(self.name, error.strerror or "") from None
        except OSError as error:
            raise _unreadable(self.name, error.strerror or str(error)) from None
        return _said(self.name, data, engaged=None if self.is_shared else True)

    def _stand_down(self, by: str) -> None:
        if self.is_shared:
            super()._stand_down(by)
        else:
            self.path.unlink(missing_ok=True)

    def _write(self, record: dict[str, Any]) -> None:
        fresh = self.path.with_name(f"{self.path.name}.new-{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=not self.is_shared, exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as error:
            raise Refused(f"the lever {self.name} cannot be written: {error.strerror}") from None


class RemoteLever:
    """One lever behind a URL. It is only read; whoever serves it engages it."""

    def __init__(self, url: str) -> None:
        self.name = url

    def read(self) -> str:
        """Return who engaged it and why; empty when it is released. Redirects are not followed.

        Raises:
            LeverUnreadable: It cannot be told.
        """
        parts = urlsplit(self.name)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=HTTP_TIMEOUT_S)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("GET", path, headers={"Accept": "application/json", "Connection": "close"})
            reply = connection.getresponse()
            data = reply.read(ANSWER_MAX)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _unreadable(self.name, str(error) or type(error).__name__) from None
        finally:
            connection.close()
        if reply.status != http.client.OK:
            raise _unreadable(self.name, f"HTTP {reply.status}")
        return _said(self.name, data, engaged=None)


class ObjectLever(_Written):
    """One lever that is an S3 object. Like a shared file it must be there; who may write it is up to S3."""

    def __init__(self, at: ObjectUrl) -> None:
        self.name = at.text
        self._at = at
        self._link = ObjectLink()

    def read(self) -> str:
        """Return who engaged it and why; empty when it is released.

        Raises:
            LeverUnreadable: It cannot be told; also where there is no such object.
        """
        try:
            said = self._link.ask(self._at, "get")
        except OSError as error:
            raise _unreadable(self.name, str(error)) from None
        if not said.is_there:
            raise _unreadable(self.name, "there is no such object; `gameday lever release --shared` makes it")
        return _said(self.name, said.body.encode(), engaged=None)

    def close(self) -> None:
        """End the process that talks to S3."""
        self._link.close()

    def _write(self, record: dict[str, Any]) -> None:
        try:
            self._link.ask(self._at, "put", body=json.dumps(record))
        except OSError as error:
            raise Refused(f"the lever {self.name} cannot be written: {error}") from None


AnyLever = Lever | RemoteLever | ObjectLever


def _said(name: str, data: bytes, *, engaged: bool | None) -> str:
    """Return what a lever's JSON says. `engaged` is what it means when it does not say."""
    try:
        found = json.loads(data)
        engaged = found.get("engaged", engaged)
        by, utc, reason = (one_line(str(found.get(key) or "?"), 200) for key in ("by", "utc", "reason"))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(name, one_line(str(error), 120)) from None
    if type(engaged) is not bool:
        raise _unreadable(name, f"`engaged` is {one_line(repr(engaged), 80)}, expected true or false")
    if not engaged:
        return ""
    return f"engaged by {by} at {utc}: {reason}"


def _unreadable(name: str, why: str) -> LeverUnreadable:
    return LeverUnreadable(f"the lever {name} cannot be read: {why}")


def project_lever(project: Path) -> Lever:
    """Return the lever of a project's folder."""
    return Lever(project / ".gameday" / "lever.json")


def shared_levers(policy: Policy) -> tuple[AnyLever, ...]:
    """Return the levers that a policy names."""
    return tuple(map(_lever, policy.levers))


def _lever(text: str) -> AnyLever:
    if text.startswith(SCHEME):
        return ObjectLever(object_url(text))
    return Lever(Path(text), is_shared=True) if text.startswith("/") else RemoteLever(text)


class Levers:
    """All levers of a run, read all the time by threads of their own."""

    def __init__(self, project: Path, policy: Policy | None = None) -> None:
        policy = policy or default_policy()
        self._silence_s = policy.lever_silence_ns / NS
        self._ending = threading.Event()
        self._watches = [
            _Watch(lever, self._ending) for lever in (project_lever(project), *shared_levers(policy))
        ]
        for watch in self._watches:
            watch.start()

    def check(self) -> None:
        """Refuse a start while one is engaged, or cannot be read.

        Raises:
            NotAuthorised: One is engaged.
            LeverUnreadable: One cannot be read, or does not answer in time.
        """
        began_s = time.monotonic()
        for watch in self._watches:
            watch.heard.wait(max(began_s + watch.first_word_s - time.monotonic(), 0.0))
            if watch.reason:
                todo = f"When it is safe, release {watch.lever_name}."
                raise NotAuthorised(f"the safety lever is {watch.reason}", todo=todo)
            if watch.trouble or watch.read_s is None:
                late = f"the lever {watch.lever_name} gives no answer within {watch.first_word_s:g} s"
                raise LeverUnreadable(
                    watch.trouble or late, todo="Nothing starts while a lever cannot be read."
                )

    def halting(self) -> str:
        """Return why a drill that runs must halt, or nothing. Never waits."""
        now_s = time.monotonic()
        for watch in self._watches:
            if watch.reason:
                return watch.reason
            silent_s = now_s - (watch.read_s if watch.read_s is not None else watch.began_s)
            if silent_s > self._silence_s:
                why = watch.trouble or f"the lever {watch.lever_name} does not answer"
                return f"{why}; for {silent_s:.1f} s, allowed are {self._silence_s:g} s"
        return ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every lever's name."""
        return tuple(watch.lever_name for watch in self._watches)

    def close(self) -> None:
        """Stop reading. A thread that hangs is left behind; it can do no harm."""
        self._ending.set()
        for watch in self._watches:
            watch.close()


class _Watch(threading.Thread):
    """Reads one lever again and again. Others only look at what it last saw."""

    def __init__(self, lever: AnyLever, ending: threading.Event) -> None:
        super().__init__(name="lever", daemon=True)
        self._lever = lever
        self._ending = ending
        self._pause_s = LOOK_EVERY_S if isinstance(lever, Lever) else ASK_EVERY_S
        self.first_word_s = FIRST_OBJECT_S if isinstance(lever, ObjectLever) else FIRST_WORD_S
        self.heard = threading.Event()
        self.began_s = time.monotonic()
        self.read_s: float | None = None
        self.reason = ""
        self.trouble = ""

    @property
    def lever_name(self) -> str:
        """How the lever is called."""
        return self._lever.name

    def close(self) -> None:
        """Give up what the lever needs to be read."""
        if isinstance(self._lever, ObjectLever):
            self._lever.close()

    def run(self) -> None:
        while not self._ending.is_set():
            asked_s = time.monotonic()
            try:
                reason, trouble = self._lever.read(), ""
            except LeverUnreadable as error:
                reason, trouble = "", str(error)
            except Exception as error:  # noqa: BLE001 - the thread boundary: a reader that dies reads nothing
                reason, trouble = "", f"the lever {self._lever.name} cannot be read: {type(error).__name__}"
            self.trouble = trouble
            if not trouble:
                self.reason = reason
                self.read_s = asked_s
            self.heard.set()
            self._ending.wait(self._pause_s)
