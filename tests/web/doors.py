"""A console over a recorded run, its application called in this process, and a real control socket."""

from __future__ import annotations

import asyncio
import queue

import httpx

from gameday.console.web.app import Console, build
from gameday.console.web.feed import Feed
from gameday.console.web.sessions import Sessions
from gameday.hosts.clock import RunClock
from gameday.runner.control import ControlSocket
from gameday.runner.desk import Desk

HOST = "127.0.0.1:8470"
COOKIE = "gameday-console-8470"
OURS = {"origin": f"http://{HOST}", "x-gameday-console": "1"}


class Doors:
    """The console of one run folder."""

    def __init__(self, run_dir, folder, *, beyond_loopback=False, project=None):
        self.run_dir = run_dir
        self.file = folder / "sessions.json"
        self.feed = Feed(lambda: run_dir)
        self.feed.tick()
        self.console = Console(self.feed, Sessions(self.file), COOKIE, project)
        self.app = build(self.console, beyond_loopback=beyond_loopback, follows=False)
        self.secret = self.console.sessions.enter(self.console.sessions.invite())
        self.inbox = queue.SimpleQueue()
        self.socket = ControlSocket(run_dir, RunClock(), self.inbox, Desk(RunClock(), self.inbox))

    def close(self):
        self.socket.close()

    def ask(self, method, path, *, inside=True, ours=True, headers=None, **more):
        """Send one request; `inside` with a session, `ours` with what only our page sends."""
        sent = {"host": HOST, **(OURS if ours else {}), **(headers or {})}
        if inside:
            sent["cookie"] = f"{COOKIE}={self.secret}"

        async def go():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
                return await client.request(method, path, headers=sent, **more)

        return asyncio.run(go())

    def heard(self):
        """Every event that reached the run."""
        found = []
        while not self.inbox.empty():
            found.append(self.inbox.get()[1])
        return found
