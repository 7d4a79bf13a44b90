"""The lab of two regions: a PostgreSQL primary and its standby, an orders service in front of each."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from gameday.lab.errors import LabError
from gameday.lab.httpd import Request
from gameday.lab.node import Node
from gameday.lab.pair import Pair
from gameday.lab.programs import Programs
from gameday.lab.proxy import Proxy
from gameday.lab.system import ENVIRONMENT, Services


class PairSystem:
    """Nodes a and b, with all that belongs to them."""

    def __init__(self, folder: Path, programs: Programs, services: Services) -> None:
        self._folder = folder
        self._password = secrets.token_urlsafe(18)
        self._services = services
        self._id = f"gameday-lab-{secrets.token_hex(6)}"
        self.pair = Pair({name: Node(name, folder, programs, self._password) for name in ("a", "b")})

    def proxies(self) -> dict[str, Proxy]:
        """Return the users' path and the replication links."""
        return self.pair.proxies()

    async def up(self, port: int) -> dict[str, Any]:
        """Bring both regions up."""
        password_file = self._folder / "password"
        password_file.write_text(self._password + "\n", encoding="ascii")
        password_file.chmod(0o600)
        try:
            await self.pair.create(password_file)
        finally:
            password_file.unlink()
        payments_port = await self._services.start("payments", None)
        peers = {name: node.dsn for name, node in self.pair.nodes.items()}
        ports = {}
        for name, node in self.pair.nodes.items():
            config = {
                "dsn": node.dsn,
                "region": name,
                "identity": self._identity(),
                "peers": peers,
                "payments_port": payments_port,
            }
            ports[name] = await self._services.start("orders", config)
        try:
            await self.pair.open(ports, port)
        except OSError:
            raise LabError(f"port {port} is taken: choose another with --port, or leave it out") from None
        return {
            "nodes": {
                name: {"region": name, "port": node.port, "dsn": node.dsn}
                for name, node in self.pair.nodes.items()
            }
        }

    def _identity(self) -> dict[str, Any]:
        return {
            "environment": ENVIRONMENT,
            "name": "gameday-lab",
            "id": self._id,
            "nodes": {name: {"region": name} for name in self.pair.nodes},
            "regions": list(self.pair.nodes),
            "targets": {
                "proxy:users": {},
                "lab:replication": {},
                **{
                    f"proxy:{link.name}": {"region": name, "node": name}
                    for name, link in self.pair.links.items()
                },
            },
        }

    async def state(self) -> dict[str, Any]:
        """Return how the pair stands."""
        return await self.pair.state()

    async def act(self, request: Request) -> bool:
        """Carry out what was asked."""
        match (request.method, *request.path):
            case ("POST", "nodes", name, action):
                await self.pair.do(name, action, request.json())
            case ("POST", "users-path"):
                await self.pair.switch(str(request.json().get("region", "")))
            case ("POST", "replication"):
                await self.pair.set_mode(str(request.json().get("mode", "")))
            case _:
                return False
        return True

    async def down(self) -> None:
        """End both nodes."""
        for node in self.pair.nodes.values():
            node.kill()
        for node in self.pair.nodes.values():
            await node.wait_dead()
