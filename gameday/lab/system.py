"""What every system under drill has in common: a name, a way up and down, a state, a control interface.

The supervisor owns the folder, the token and the ports; a system owns its servers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Protocol

from gameday.lab.errors import LabError
from gameday.lab.httpd import Request
from gameday.lab.proxy import Proxy

ENVIRONMENT = "lab"
SYSTEMS = ("pair", "archive", "sentinel", "patroni")


class System(Protocol):
    """One kind of lab."""

    def proxies(self) -> dict[str, Proxy]:
        """Return every proxy by name; `users` is the users' path."""

    async def up(self, port: int) -> dict[str, Any]:
        """Bring everything up and return what its state file says of it.

        Raises:
            LabError: Something does not come up.
        """

    async def state(self) -> dict[str, Any]:
        """Return how everything stands: `whole`, `why_not_whole`, `nodes`, `users_path`."""

    async def act(self, request: Request) -> bool:
        """Carry out what was asked; False when there is no such thing.

        Raises:
            LabError: It failed.
        """

    async def down(self) -> None:
        """End everything."""


class Services:
    """The lab's own small services: each a process that dies with the lab."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self, name: str, config: dict[str, Any] | None) -> int:
        """Start a service and return its port.

        Raises:
            LabError: It does not start.
        """
        log = (self._folder / f"{name}.log").open("ab")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"gameday.lab.{name}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._running.append(child)
        assert child.stdin is not None
        assert child.stdout is not None
        if config is not None:
            child.stdin.write(json.dumps(config).encode() + b"\n")
            await child.stdin.drain()
        line = await asyncio.wait_for(child.stdout.readline(), 20)
        if not line.strip().isdigit():
            raise LabError(f"the {name} service does not start: read {self._folder / name}.log")
        return int(line)

    async def end(self) -> None:
        """End all of them."""
        for service in self._running:
            if service.returncode is None:
                service.kill()
        for service in self._running:
            await service.wait()


async def until(is_so: Any, complaint: str, patience_s: float = 20.0) -> None:
    """Wait until something is so.

    Raises:
        LabError: It was not in time.
    """
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + patience_s
    while not await is_so():
        if loop.time() > give_up_s:
            raise LabError(complaint)
        await asyncio.sleep(0.05)
