"""The lab's one long-lived process: it holds the nodes, the proxies and the services.

It is its children's parent in earnest: each dies with it, by a signal from the kernel or by the end
of its stdin, so that even a killed lab leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

from gameday.lab.errors import LabError
from gameday.lab.httpd import Reply, Request, port_of, serve
from gameday.lab.node import Node
from gameday.lab.pair import Pair
from gameday.lab.programs import Programs, find_bin_dir
from gameday.lab.state import STATE_FILE, start_ticks
from gameday.lab.toxics import ToxicsApi

ENVIRONMENT = "lab"


class Supervisor:
    """Everything of one lab."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._password = secrets.token_urlsafe(18)
        self._token = secrets.token_urlsafe(24)
        programs = Programs(find_bin_dir(), folder)
        if programs.as_nobody:
            folder.chmod(0o711)
        self.pair = Pair({name: Node(name, folder, programs, self._password) for name in ("a", "b")})
        self._services: list[asyncio.subprocess.Process] = []

    async def up(self, port: int) -> None:
        """Bring everything up and say where it is.

        Raises:
            LabError: Something does not come up.
        """
        password_file = self.folder / "password"
        password_file.write_text(self._password + "\n", encoding="ascii")
        password_file.chmod(0o600)
        try:
            await self.pair.create(password_file)
        finally:
            password_file.unlink()
        payments_port = await self._service("payments", None)
        identity = {
            "environment": ENVIRONMENT,
            "name": "gameday-lab",
            "id": f"gameday-lab-{secrets.token_hex(6)}",
            "nodes": {name: {"region": name} for name in self.pair.nodes},
            "regions": list(self.pair.nodes),
            "targets": {
                "proxy:users": {},
                "lab:replication": {},
                **{f"proxy:{link.name}": {"region": name, "node": name}
                   for name, link in self.pair.links.items()},
            },
        }  # fmt: skip
        peers = {name: node.dsn for name, node in self.pair.nodes.items()}
        ports = {}
        for name, node in self.pair.nodes.items():
            config = {
                "dsn": node.dsn,
                "region": name,
                "identity": identity,
                "peers": peers,
                "payments_port": payments_port,
            }
            ports[name] = await self._service("orders", config)
        try:
            await self.pair.open(ports, port)
        except OSError:
            raise LabError(f"port {port} is taken: choose another with --port, or leave it out") from None
        control = await serve(self._control)
        toxics = await serve(ToxicsApi(self.pair.proxies()).handle)
        self._write_state(port_of(control), port_of(toxics))

    async def _service(self, name: str, config: dict[str, Any] | None) -> int:
        log = (self.folder / f"{name}.log").open("ab")
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
        self._services.append(child)
        assert child.stdin is not None
        assert child.stdout is not None
        if config is not None:
            child.stdin.write(json.dumps(config).encode() + b"\n")
            await child.stdin.drain()
        line = await asyncio.wait_for(child.stdout.readline(), 20)
        if not line.strip().isdigit():
            raise LabError(f"the {name} service does not start: read {self.folder / name}.log")
        return int(line)

    def _write_state(self, control_port: int, toxics_port: int) -> None:
        state = {
            "environment": ENVIRONMENT,
            "pid": os.getpid(),
            "start_ticks": start_ticks(os.getpid()),
            "url": f"http://127.0.0.1:{self.pair.users.port}",
            "control": f"http://127.0.0.1:{control_port}",
            "token": self._token,
            "toxiproxy": f"http://127.0.0.1:{toxics_port}",
            "nodes": {
                name: {"region": name, "port": node.port, "dsn": node.dsn}
                for name, node in self.pair.nodes.items()
            },
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
        match (request.method, *request.path):
            case ("GET", "state"):
                return 200, await self.pair.state()
            case ("POST", "nodes", name, action):
                await self.pair.do(name, action, request.json())
                return 200, {}
            case ("POST", "users-path"):
                await self.pair.switch(str(request.json().get("region", "")))
                return 200, {}
            case ("POST", "replication"):
                await self.pair.set_mode(str(request.json().get("mode", "")))
                return 200, {}
            case _:
                return 404, {"error": "no such thing"}

    async def down(self) -> None:
        """End everything."""
        for proxy in self.pair.proxies().values():
            proxy.cut()
        for service in self._services:
            if service.returncode is None:
                service.kill()
        for node in self.pair.nodes.values():
            node.kill()
        for node in self.pair.nodes.values():
            await node.wait_dead()
        for service in self._services:
            await service.wait()


async def supervise(folder: Path, port: int) -> int:
    """Bring a lab up, say so in one line on stdout, and hold it until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    supervisor = None
    try:
        supervisor = Supervisor(folder)
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
