"""What people tell a running drill: halt, note, mark; approve, done, failed.

Over a Unix socket (mode 0600, in a short private folder, because such a path may have 107 bytes at
most), with the peer's uid recorded. Where no socket can be had the run goes on and its history says so;
a file named `halt` in the run folder then halts it, and `ask` puts it down wherever nobody answers. Each
caller has a thread of its own, so that nobody's silence or slow signature is in the way of a halt.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gameday.errors import GameDayError, Refused
from gameday.history.events import HaltAsked, Noted
from gameday.history.read import read_records
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.runner.arming import runtime_dir
from gameday.runner.desk import Desk
from gameday.runner.listing import outcome_of

OVER = ("completed", "halted", "refused")  # Not crashed: its undos may still be owed.
LINE_MAX = 64 << 10
CALLERS_MAX = 16
HEAR_MAX_S = 3.0
ANSWER_WAIT_S = 25.0  # Longer than every deadline of ssh-keygen behind one answer.
HALT_FILE = "halt"
HALT_PUT = "; a halt file was put down, which a runner that lives obeys within a second"


def socket_path(run_dir: Path) -> Path:
    """Return where the runner of that run listens."""
    name = hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:20]
    return runtime_dir() / f"{name}.sock"


class ControlSocket:
    """Turns what people ask over the socket into events."""

    def __init__(self, run_dir: Path, clock: RunClock, inbox: Inbox, desk: Desk) -> None:
        self._path = socket_path(run_dir)
        self._clock = clock
        self._inbox = inbox
        self._desk = desk
        self._callers = threading.BoundedSemaphore(CALLERS_MAX)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server.bind(str(self._path))
        except OSError:
            self._server.close()
            raise
        finally:
            os.umask(mask)
        self._inode = self._path.lstat().st_ino
        self._server.listen(8)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()
        with suppress(OSError):
            if self._path.lstat().st_ino == self._inode:  # Not one that another run has put there since.
                self._path.unlink()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            if not self._callers.acquire(timeout=1.0):
                peer.close()  # So many at once are no people.
                continue
            threading.Thread(target=self._hear, args=(peer,), name="caller", daemon=True).start()

    def _hear(self, peer: socket.socket) -> None:
        try:
            with peer, contextlib.suppress(OSError):
                peer.settimeout(1.0)
                reply = self._take(peer)
                peer.sendall(json.dumps(reply).encode() + b"\n")
        finally:
            self._callers.release()

    def _take(self, peer: socket.socket) -> dict[str, object]:
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        data = b""
        until_s = time.monotonic() + HEAR_MAX_S
        while not data.endswith(b"\n") and len(data) < LINE_MAX and time.monotonic() < until_s:
            more = peer.recv(LINE_MAX)
            if not more:
                break
            data += more
        try:
            asked = json.loads(data)
            by = f"operator {str(asked.get('by', ''))[:100]} (uid {uid})"
            text = str(asked.get("text", ""))[:1000]
            kind = asked["kind"]
        except (ValueError, KeyError, AttributeError, TypeError):
            return {"ok": False, "error": "not a request"}
        if kind == "halt":
            self._inbox.put((self._clock.now_ns(), HaltAsked(by=by, reason=text or "asked to halt")))
        elif kind == "note":
            self._inbox.put((self._clock.now_ns(), Noted(by=by, mark=str(asked.get("mark", "")), text=text)))
        else:
            return self._desk.answer(asked, by)
        return {"ok": True}


def ask(run_dir: Path, kind: str, *, by: str, text: str = "", **more: str) -> dict[str, Any]:
    """Send one request to the runner of `run_dir` and return its reply.

    A halt that nobody answers is put down as a file; the reply to it has `file` where the runner lives.

    Raises:
        Refused: Nobody listens (the run is over, or its runner is dead), or the runner says no.
    """
    request = json.dumps({"kind": kind, "by": by, "text": text, **more}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(2.0 if kind in ("halt", "note") else ANSWER_WAIT_S)
            peer.connect(str(socket_path(run_dir)))
            peer.sendall(request)
            with peer.makefile("rb") as answer:
                reply: dict[str, Any] = json.loads(answer.readline(LINE_MAX) or b"{}")
    except (OSError, ValueError, Refused) as error:
        put = _put_down(run_dir, f"{by}: {text}\n") if kind == "halt" else ""
        stand = _stands(run_dir)
        if put == HALT_PUT and stand == "running":
            return {"ok": True, "file": str(run_dir / HALT_FILE)}
        if stand in OVER:
            if put == HALT_PUT:
                with suppress(OSError):
                    (run_dir / HALT_FILE).unlink(missing_ok=True)
            raise Refused(
                f"no drill is running: the last one, {run_dir.name}, is over ({stand})",
                todo="`gameday runs` lists them all.",
            ) from error
        raise Refused(
            f"the run in {run_dir} does not answer ({error}){put}",
            todo="`gameday runs` says how it stands; if it crashed, `gameday recover` finishes its undos.",
        ) from error
    if not reply.get("ok"):
        raise Refused(f"the runner refused: {reply.get('error', 'no reason given')}")
    return reply


def _put_down(run_dir: Path, text: str) -> str:
    """Put the halt file down, and return what came of it, as it is said to the person who asked."""
    try:
        (run_dir / HALT_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        return f"; nor can a halt file be put down: {error.strerror}"
    return HALT_PUT


def _stands(run_dir: Path) -> str:
    try:
        return outcome_of(read_records(run_dir))
    except GameDayError:
        return ""
