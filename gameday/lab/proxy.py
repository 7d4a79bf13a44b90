"""A TCP proxy with a switch and toxics: latency, bandwidth, stall, reset, cut, HTTP errors.

Every chunk that passes waits in a queue until its time has come, so a delayed link holds bytes in
flight. Cutting the link throws them away, as losing a region does: they never arrive.

Toxics carry Toxiproxy's names and attributes: latency (latency, jitter in ms), bandwidth (rate in
KB/s), timeout (timeout in ms, 0 for ever: nothing passes), reset_peer (timeout in ms), slow_close
(delay in ms), slicer (average_size, size_variation in bytes, delay in µs), limit_data (bytes). As
there, `toxicity` is the share of connections that a toxic acts on. One is ours: http_error (status,
percent of requests), see `gameday.lab.httpgate`.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from gameday.lab.httpgate import HttpGate

CHUNK = 65536
TOXICS = {
    "latency",
    "bandwidth",
    "timeout",
    "reset_peer",
    "slow_close",
    "slicer",
    "limit_data",
    "http_error",
}


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

    def drop(self, toxic: Toxic | None = None) -> None:
        """Throw away every connection, or those a toxic acts on, with a reset; new ones are welcome."""
        for link in tuple(self._links):
            if toxic is None or link.is_chosen(toxic):
                link.abort(reset=toxic is not None)

    def failing_status(self) -> int | None:
        """Return the HTTP status with which the next request fails; None when it passes."""
        for toxic in self.toxics.values():
            if toxic.type == "http_error":
                share = toxic.toxicity * float(toxic.attributes.get("percent", 100)) / 100
                if random.random() < share:  # noqa: S311 - a share is no secret
                    return int(toxic.attributes.get("status", 503))
        return None

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
            self.drop(self.toxics[name])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, (reader, writer))
        resets = [toxic for toxic in self.toxics.values() if toxic.type == "reset_peer"]
        if any(not toxic.attributes.get("timeout") and link.is_chosen(toxic) for toxic in resets):
            _reset_on_close(writer)
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.transport.abort()
            return
        self._links.add(link)
        for toxic in resets:
            link.reset_later(toxic)
        try:
            await link.run((up_reader, up_writer))
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

    def __init__(self, proxy: Proxy, client: Side) -> None:
        self._proxy = proxy
        self._client = client
        self._sides: tuple[Side, ...] = (client,)
        self._tasks: list[asyncio.Task[None]] = []
        self._draws: dict[str, tuple[Toxic, bool]] = {}
        self._gate = HttpGate(proxy.failing_status)
        self._sent = {"upstream": 0, "downstream": 0}

    def is_chosen(self, toxic: Toxic) -> bool:
        """Tell whether a toxic acts on this connection; drawn once, as Toxiproxy does."""
        drawn = self._draws.get(toxic.name)
        if drawn is None or drawn[0] is not toxic:
            drawn = (toxic, random.random() < toxic.toxicity)  # noqa: S311 - as above
            self._draws[toxic.name] = drawn
        return drawn[1]

    def reset_later(self, toxic: Toxic) -> None:
        """Reset this connection when a toxic's time is up, if the toxic is still there."""

        def reset() -> None:
            if self._proxy.toxics.get(toxic.name) is toxic and self.is_chosen(toxic):
                self.abort(reset=True)

        asyncio.get_running_loop().call_later(float(toxic.attributes.get("timeout", 0)) / 1000, reset)

    async def run(self, server: Side) -> None:
        self._sides = (self._client, server)
        for side in self._sides:
            sock = side[1].get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tasks = [
            asyncio.create_task(self._pump(self._client[0], server[1], "upstream")),
            asyncio.create_task(self._pump(server[0], self._client[1], "downstream")),
        ]
        try:
            await asyncio.gather(*self._tasks)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.abort()

    def abort(self, *, reset: bool = False) -> None:
        for task in self._tasks:
            task.cancel()
        for _, writer in self._sides:
            if reset and not writer.transport.is_closing():
                _reset_on_close(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: str) -> None:
        flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=4096)
        sender = asyncio.create_task(self._send(flight, writer, stream))
        self._tasks.append(sender)
        loop = asyncio.get_running_loop()
        last_s = 0.0
        while data := await reader.read(CHUNK):
            if stream == "upstream":
                data, answers = self._gate.feed(data)
                if answers:
                    self._client[1].write(answers)
                if not data:
                    continue
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
            stalled_s = loop.time()
            while (stall := self._find(stream, "timeout")) is not None:
                await asyncio.sleep(0.01)  # Nothing passes while the link is stalled.
                limit_ms = float(stall.attributes.get("timeout", 0))
                if limit_ms and (loop.time() - stalled_s) * 1000 >= limit_ms:
                    self.abort()
                    return
            if not data:
                await asyncio.sleep(self._number(stream, "slow_close", "delay") / 1000)
                writer.write_eof()
                return
            rate = self._find(stream, "bandwidth")
            if rate is not None:
                await asyncio.sleep(len(data) / 1024 / max(float(rate.attributes.get("rate", 1)), 0.001))
            if not await self._write(writer, data, stream):
                return

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, stream: str) -> bool:
        """Write in slices where there is a slicer; tell whether the connection goes on."""
        limit = self._find(stream, "limit_data")
        if limit is not None:
            left = max(int(limit.attributes.get("bytes", 0)) - self._sent[stream], 0)
            if len(data) >= left:
                writer.write(data[:left])
                writer.write_eof()
                return False
        self._sent[stream] += len(data)
        slicer = self._find(stream, "slicer")
        size = len(data)
        if slicer is not None:
            size = max(int(slicer.attributes.get("average_size", size)), 1)
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await writer.drain()
            if slicer is not None:
                await asyncio.sleep(float(slicer.attributes.get("delay", 0)) / 1e6)
        return True

    def _number(self, stream: str, kind: str, attribute: str) -> float:
        toxic = self._find(stream, kind)
        return float(toxic.attributes.get(attribute, 0)) if toxic is not None else 0.0

    def _find(self, stream: str, kind: str) -> Toxic | None:
        for toxic in self._proxy.toxics.values():
            if toxic.stream == stream and toxic.type == kind and self.is_chosen(toxic):
                return toxic
        return None

    def _delay_s(self, stream: str) -> float:
        delay_ms = 0.0
        for toxic in self._proxy.toxics.values():
            if toxic.stream == stream and toxic.type == "latency" and self.is_chosen(toxic):
                jitter = float(toxic.attributes.get("jitter", 0))
                spread = random.uniform(-jitter, jitter)  # noqa: S311 - jitter is no secret
                delay_ms += max(float(toxic.attributes.get("latency", 0)) + spread, 0.0)
        return delay_ms / 1000


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    """Make closing send a RST instead of a FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
