"""The lab's one long-lived process: it holds the nodes, the proxies and the services.

It is its children's parent in earnest: each dies with it, by a signal from the kernel or by the end
of its stdin, so that even a killed lab leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

from gameday.lab.errors import LabError
from gameday.lab.httpd import Reply, Request, port_of, serve
from gameday.lab.programs import Programs, find_bin_dir
from gameday.lab.state import STATE_FILE, start_ticks
from gameday.lab.system import ENVIRONMENT, Services, System
from gameday.lab.toxics import ToxicsApi

_KINDS = {
    "pair": ("gameday.lab.pairsystem", "PairSystem"),
    "archive": ("gameday.lab.archive", "ArchiveSystem"),
    "sentinel": ("gameday.lab.sentinel", "SentinelSystem"),
    "patroni": ("gameday.lab.cluster", "PatroniSystem"),
}


class Supervisor:
    """Everything of one lab, whatever system it is."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self._kind = kind
        self._token = secrets.token_urlsafe(24)
        programs = Programs(find_bin_dir(), folder)
        if programs.as_nobody:
            folder.chmod(0o711)
        self._services = Services(folder)
        module, name = _KINDS[kind]
        made = getattr(importlib.import_module(module), name)
        self.system: System = made(folder, programs, self._services)

    async def up(self, port: int) -> None:
        """Bring everything up and say where it is.

        Raises:
            LabError: Something does not come up.
        """
        more = await self.system.up(port)
        control = await serve(self._control)
        toxics = await serve(ToxicsApi(self.system.proxies()).handle)
        self._write_state(port_of(control), port_of(toxics), more)

    def _write_state(self, control_port: int, toxics_port: int, more: dict[str, Any]) -> None:
        state = {
            "environment": ENVIRONMENT,
            "system": self._kind,
            "pid": os.getpid(),
            "start_ticks": start_ticks(os.getpid()),
            "url": f"http://127.0.0.1:{self.system.proxies()['users'].port}",
            "control": f"http://127.0.0.1:{control_port}",
            "token": self._token,
            "toxiproxy": f"http://127.0.0.1:{toxics_port}",
            **more,
        }
        fresh = self.folder / f".{STATE_FILE}"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(state, file, indent=1)
        fresh.replace(self.folder / STATE_FILE)

    async def _control(self, request: Request) -> Reply:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return 401, {"error": "the token is missing or wrong; it stands in lab.json"}
        if (request.method, *request.path) == ("GET", "state"):
            return 200, await self.system.state()
        if await self.system.act(request):
            return 200, {}
        return 404, {"error": "no such thing"}

    async def down(self) -> None:
        """End everything."""
        for proxy in self.system.proxies().values():
            proxy.cut()
        ending = asyncio.create_task(self._services.end())
        await self.system.down()
        await ending


async def supervise(folder: Path, port: int, kind: str) -> int:
    """Bring a lab up, say so in one line on stdout, and hold it until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    supervisor = None
    try:
        supervisor = Supervisor(folder, kind)
        await supervisor.up(port)
    except LabError as error:
        _say(f"error: {error}")
        if supervisor is not None:
            await supervisor.down()
        return 3
    _say("up")
    await stop.wait()
    await supervisor.down()
    return 0


def _say(line: str) -> None:
    os.write(1, line.encode() + b"\n")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
