"""What people tell a running drill: halt, note, mark.

Over a Unix socket (mode 0600, in a short private folder, because such a path may have 107 bytes at
most), with the peer's uid recorded. Where no socket can be had, a file named `halt` in the run
folder does the same.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from pathlib import Path

from gameday.errors import Refused
from gameday.history.events import HaltAsked, Noted
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.runner.arming import runtime_dir

LINE_MAX = 4096
HALT_FILE = "halt"


def socket_path(run_dir: Path) -> Path:
    """Return where the runner of that run listens."""
    return runtime_dir() / f"{run_dir.name[-23:]}.sock"


class ControlSocket:
    """Turns what people ask over the socket into events."""

    def __init__(self, run_dir: Path, clock: RunClock, inbox: Inbox) -> None:
        self._path = socket_path(run_dir)
        self._clock = clock
        self._inbox = inbox
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server.bind(str(self._path))
        finally:
            os.umask(mask)
        self._server.listen(8)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(1.0)
                try:
                    reply = self._take(peer)
                    peer.sendall(json.dumps(reply).encode() + b"\n")
                except OSError:
                    continue

    def _take(self, peer: socket.socket) -> dict[str, object]:
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        data = b""
        while not data.endswith(b"\n") and len(data) < LINE_MAX:
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
            return {"ok": False, "error": f"unknown request {kind!r}"}
        return {"ok": True}


def ask(run_dir: Path, kind: str, *, by: str, text: str = "", mark: str = "") -> None:
    """Send one request to the runner of `run_dir`.

    Raises:
        Refused: Nobody listens: the run is over, or its runner is dead.
    """
    request = json.dumps({"kind": kind, "by": by, "text": text, "mark": mark}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(2.0)
            peer.connect(str(socket_path(run_dir)))
            peer.sendall(request)
            reply = json.loads(peer.recv(LINE_MAX) or b"{}")
    except (OSError, ValueError) as error:
        if kind == "halt" and run_dir.is_dir():
            (run_dir / HALT_FILE).write_text(f"{by}: {text}\n", encoding="utf-8")
        raise Refused(
            f"the run in {run_dir} does not answer ({error})",
            todo="`gameday runs` says how it stands; if it crashed, `gameday recover` finishes its undos.",
        ) from error
    if not reply.get("ok"):
        raise Refused(f"the runner refused: {reply.get('error', 'no reason given')}")
