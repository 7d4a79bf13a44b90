"""The orders service on Valkey behind Sentinels: every order is an entry of a list.

The same paths as the orders service on PostgreSQL, so that the same load, probes and ledgers fit it. Each
connection asks the Sentinels who is master; after any trouble all connections are made anew.

    POST /orders  {"item","quantity","marker"?,"number"?,"sha256"?}  → 201 {"id"}
    GET  /orders?marker=M | ?limit=N                                  → 200 {"orders":[…]}
    DELETE /orders?marker=M                                           → 200 {"purged":n}
    GET  /health, /identity; /payments/… is passed on to the payments service
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import Any, cast

import redis.asyncio as aio
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gameday.lab.httpd import Reply, Request, passed_on, port_of, serve

CONNECTIONS = 12
TIMEOUT_S = 0.3
READ_TIMEOUT_S = 5.0
PLAIN = "plain"


class Unavailable(Exception):
    """The store is away, read-only, or too slow."""


class KeyValueOrders:
    """Orders over a small pool of connections that heals itself."""

    def __init__(
        self,
        sentinels: list[tuple[str, int]],
        master: str,
        identity: dict[str, Any],
        peers: dict[str, int],
        payments_port: int,
    ) -> None:
        never: Any = Retry(NoBackoff(), 0)
        self._sentinel: Any = cast("Any", Sentinel)(
            sentinels, sentinel_kwargs={"socket_timeout": TIMEOUT_S, "retry": never}
        )
        self._master = master
        self._identity = identity
        self._peers = peers
        self._payments_port = payments_port
        self._idle: list[Any] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)

    async def handle(self, request: Request) -> Reply:
        """Answer one request."""
        try:
            return await self._route(request)
        except Unavailable as error:
            return 503, {"error": str(error)}

    async def _route(self, request: Request) -> Reply:
        match (request.method, *request.path):
            case ("POST", "orders"):
                return await self._place(request.json())
            case ("GET", "orders"):
                return await self._list(request.query)
            case ("DELETE", "orders"):
                key = _key(request.query["marker"])
                count = await self._ask(lambda c: c.llen(key))
                await self._ask(lambda c: c.delete(key))
                return 200, {"purged": count}
            case ("GET", "health"):
                role = await self._ask(lambda c: c.execute_command("ROLE"))
                return (200, {"role": "master"}) if role[0] == b"master" else (503, {"error": "read only"})
            case ("GET", "identity"):
                return 200, {**self._identity, "nodes": await self._nodes()}
            case ("GET", "payments", "health"):
                return await passed_on(self._payments_port, "payments")
            case _:
                return 404, {"error": "no such thing"}

    async def _place(self, order: dict[str, Any]) -> Reply:
        number = order.get("number")
        if number is not None and type(number) is not int:
            return 400, {"error": "number is no whole number"}
        kept = {key: order.get(key) for key in ("item", "quantity", "marker", "number", "sha256")}
        text = json.dumps(kept)
        count = await self._ask(lambda c: c.rpush(_key(order.get("marker")), text))
        return 201, {"id": count}

    async def _list(self, query: dict[str, str]) -> Reply:
        first = 0 if "marker" in query else -min(max(int(query.get("limit", "20")), 1), 1000)
        key = _key(query.get("marker"))
        items = await self._ask(lambda c: c.lrange(key, first, -1), READ_TIMEOUT_S)
        return 200, {"orders": [json.loads(item) for item in items]}

    async def _nodes(self) -> dict[str, dict[str, str]]:
        roles = await asyncio.gather(*(role_of(port) for port in self._peers.values()))
        labels: dict[str, dict[str, str]] = self._identity["nodes"]
        return {name: {**labels[name], "role": role} for name, role in zip(self._peers, roles, strict=True)}

    async def _ask(self, do: Any, timeout_s: float = 2.0) -> Any:
        async with self._slots:
            client = None
            try:
                async with asyncio.timeout(timeout_s):
                    client = self._idle.pop() if self._idle else await self._connect()
                    found = await do(client)
            except (RedisError, OSError, TimeoutError, MasterNotFoundError) as error:
                await self._forget(client)
                raise Unavailable(" ".join(str(error).split()) or "the store is too slow") from None
            self._idle.append(client)
            return found

    async def _connect(self) -> Any:
        host, port = await self._sentinel.discover_master(self._master)
        never: Any = Retry(NoBackoff(), 0)
        return aio.Redis(host=host, port=port, socket_connect_timeout=TIMEOUT_S, retry=never)

    async def _forget(self, client: Any) -> None:
        """One connection broke, so all are suspect: the master may be another by now."""
        idle, self._idle = self._idle, []
        for item in [*idle, *([client] if client is not None else [])]:
            with contextlib.suppress(RedisError, OSError):
                await item.aclose()


def _key(marker: Any) -> str:
    return f"orders:{marker or PLAIN}"


async def role_of(port: int) -> str:
    """Ask one server which role it has: master, replica or down."""
    client: Any = aio.Redis(
        host="127.0.0.1", port=port, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
    try:
        found = await client.execute_command("ROLE")
        return "master" if found[0] == b"master" else "replica"
    except (RedisError, OSError):
        return "down"
    finally:
        with contextlib.suppress(RedisError, OSError):
            await client.aclose()


async def main() -> None:
    """Serve until stdin ends: the first line of stdin says how, its end says that the lab is gone."""
    config = json.loads(sys.stdin.buffer.readline())
    sentinels = [("127.0.0.1", port) for port in config["sentinels"]]
    orders = KeyValueOrders(
        sentinels, config["master"], config["identity"], config["peers"], config["payments_port"]
    )
    server = await serve(orders.handle)
    os.write(1, f"{port_of(server)}\n".encode())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
