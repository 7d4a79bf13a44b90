"""A small HTTP/1.1 server over asyncio: enough for the lab's services, and nothing more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gameday.lab.errors import Conflict, LabError

BODY_MAX = 1 << 20
_REASONS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its path split into parts."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            LabError: It is none.
        """
        try:
            data = json.loads(self.body or b"{}")
        except ValueError as error:
            raise LabError(f"the body is not JSON: {error}") from None
        if not isinstance(data, dict):
            raise LabError("the body is not a JSON object")
        return data


Reply = tuple[int, Any]
Handler = Callable[[Request], Awaitable[Reply]]


async def serve(handler: Handler, port: int = 0) -> asyncio.Server:
    """Serve on loopback; port 0 lets the system choose.

    Raises:
        OSError: The port is taken.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _one(handler, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", port, backlog=1024)


def port_of(server: asyncio.Server) -> int:
    """Return the port a server listens on."""
    return int(server.sockets[0].getsockname()[1])


async def _one(handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer one request; tell whether the connection stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if length > BODY_MAX:
        raise ValueError("body too large")
    body = await reader.readexactly(length) if length else b""
    parts = urlsplit(target)
    path = tuple(unquote(part) for part in parts.path.split("/") if part)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    status, answer = await _answer(handler, Request(method, path, query, headers, body))
    keep = headers.get("connection", "").lower() != "close"
    data = b"" if status == 204 else json.dumps(answer).encode() + b"\n"
    writer.write(
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()
        + data
    )
    await writer.drain()
    return keep


async def _answer(handler: Handler, request: Request) -> Reply:
    try:
        return await handler(request)
    except Conflict as error:
        return 409, {"error": str(error)}
    except LabError as error:
        return 400, {"error": str(error)}
    except (KeyError, TypeError, ValueError) as error:
        return 400, {"error": f"bad request: {error}"}


async def passed_on(port: int, service: str) -> Reply:
    """Ask another service of the lab whether it is well, and answer as it does."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /health HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n\r\n".encode())
            status = int((await reader.readline()).split()[1])
            writer.close()
    except (OSError, TimeoutError, ValueError, IndexError):
        return 503, {"error": f"{service} does not answer"}
    return status, {"service": service}
