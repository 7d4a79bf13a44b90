"""A TCP proxy with a switch and toxics: latency, bandwidth, stall, reset, cut.

Every chunk that passes waits in a queue until its time has come, so a delayed link holds bytes in
flight. Cutting the link throws them away, as losing a region does: they never arrive.

Toxics carry Toxiproxy's names and attributes: latency (latency, jitter in ms), bandwidth (rate in
KB/s), timeout (nothing passes; after timeout ms the connection is thrown away, 0 for never),
reset_peer (timeout in ms), slow_close (delay in ms). Toxicity is the share of connections affected.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

CHUNK = 65536
TOXICS = {"latency", "bandwidth", "timeout", "reset_peer", "slow_close"}


@dataclass(slots=True)
class Toxic:
    """One disturbance of one direction: `downstream` is from the server to the client."""

    name: str
    type: str
    stream: str = "downstream"
    toxicity: float = 1.0
    attributes: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as Toxiproxy's API shows it."""
        return {
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": self.toxicity,
            "attributes": self.attributes,
        }


class Proxy:
    """One listening port that leads to one upstream."""

    def __init__(self, name: str, upstream_port: int) -> None:
        self.name = name
        self.upstream_port = upstream_port
        self.port = 0
        self.toxics: dict[str, Toxic] = {}
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    @property
    def enabled(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    async def enable(self, port: int | None = None) -> None:
        """Listen (again, on the same port).

        Raises:
            OSError: The port is taken.
        """
        if self._server is None:
            wanted = self.port if port is None else port
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", wanted, backlog=1024)
            self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Stop listening, and throw away every connection with the bytes in flight on it."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.drop()

    def drop(self) -> None:
        """Throw away every connection; new ones are welcome."""
        for link in tuple(self._links):
            link.abort()

    def switch(self, upstream_port: int) -> None:
        """Lead new connections elsewhere, and end those that lead to the old place."""
        if upstream_port != self.upstream_port:
            self.upstream_port = upstream_port
            self.drop()

    def add(self, toxic: Toxic) -> None:
        """Put a toxic on the link; it acts on connections that are open already, too."""
        self.toxics[toxic.name] = toxic
        if toxic.type == "reset_peer":
            delay_s = float(toxic.attributes.get("timeout", 0)) / 1000
            asyncio.get_running_loop().call_later(delay_s, self._reset, toxic.name)

    def _reset(self, name: str) -> None:
        if name in self.toxics:
            self.drop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if any(toxic.type == "reset_peer" for toxic in self.toxics.values()):
            _reset_on_close(writer)
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), (up_reader, up_writer))
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)

    def as_json(self) -> dict[str, Any]:
        """Return it as Toxiproxy's API shows it."""
        return {
            "name": self.name,
            "listen": f"127.0.0.1:{self.port}",
            "upstream": f"127.0.0.1:{self.upstream_port}",
            "enabled": self.enabled,
            "toxics": [toxic.as_json() for toxic in self.toxics.values()],
        }


Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection through a proxy: two pumps."""

    def __init__(self, proxy: Proxy, client: Side, server: Side) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._tasks: list[asyncio.Task[None]] = []
        self._luck: dict[int, float] = {}

    async def run(self) -> None:
        for side in (self._client, self._server):
            sock = side[1].get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tasks = [
            asyncio.create_task(self._pump(self._client[0], self._server[1], "upstream")),
            asyncio.create_task(self._pump(self._server[0], self._client[1], "downstream")),
        ]
        try:
            await asyncio.gather(*self._tasks)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        for task in self._tasks:
            task.cancel()
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: str) -> None:
        flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=4096)
        sender = asyncio.create_task(self._send(flight, writer, stream))
        self._tasks.append(sender)
        loop = asyncio.get_running_loop()
        last_s = 0.0
        while data := await reader.read(CHUNK):
            last_s = max(last_s, loop.time() + self._delay_s(stream))  # A link keeps its order.
            await flight.put((last_s, data))
        await flight.put((last_s, b""))
        await sender

    async def _send(
        self, flight: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, stream: str
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await flight.get()
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            await self._stall(stream)
            if not data:
                slow = self._find(stream, "slow_close")
                if slow is not None:
                    await asyncio.sleep(float(slow.attributes.get("delay", 0)) / 1000)
                writer.write_eof()
                return
            rate = self._find(stream, "bandwidth")
            if rate is not None:
                await asyncio.sleep(len(data) / 1024 / max(float(rate.attributes.get("rate", 1)), 0.001))
            writer.write(data)
            await writer.drain()

    async def _stall(self, stream: str) -> None:
        """Let nothing pass while the link is stalled; throw it away when it was for too long."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while (toxic := self._find(stream, "timeout")) is not None:
            limit_s = float(toxic.attributes.get("timeout", 0)) / 1000
            if 0 < limit_s <= loop.time() - began_s:
                self.abort()
            await asyncio.sleep(0.01)

    def _find(self, stream: str, kind: str) -> Toxic | None:
        for toxic in self._proxy.toxics.values():
            if toxic.stream == stream and toxic.type == kind and self._feels(toxic):
                return toxic
        return None

    def _feels(self, toxic: Toxic) -> bool:
        """Tell whether this connection is one of those affected: decided once for each toxic."""
        luck = self._luck.setdefault(id(toxic), random.random())  # noqa: S311 - no secret
        return luck < toxic.toxicity or toxic.toxicity >= 1

    def _delay_s(self, stream: str) -> float:
        delay_ms = 0.0
        for toxic in self._proxy.toxics.values():
            if toxic.stream == stream and toxic.type == "latency" and self._feels(toxic):
                jitter = float(toxic.attributes.get("jitter", 0))
                spread = random.uniform(-jitter, jitter)  # noqa: S311 - jitter is no secret
                delay_ms += max(float(toxic.attributes.get("latency", 0)) + spread, 0.0)
        return delay_ms / 1000


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    """Make closing send a RST instead of a FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
