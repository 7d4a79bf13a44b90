"""The orders service of one region: every order is a row in that region's database.

    POST /orders  {"item","quantity","marker"?,"number"?,"sha256"?}  → 201 {"id"}
    GET  /orders?marker=M | ?limit=N                                  → 200 {"orders":[…]}
    DELETE /orders?marker=M                                           → 200 {"purged":n}
    GET  /health, /identity; /payments/… is passed on to the payments service

It answers 503 quickly when its database is away, and is back as soon as the database is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import sys
from typing import Any

import psycopg

from gameday.lab.httpd import Reply, Request, passed_on, port_of, serve

CONNECTIONS = 12
CONNECT_TIMEOUT_S = 0.3
QUERY_TIMEOUT_S = 2.0
SEVERAL_PAUSE_S = 0.2
_COLUMNS = "id, item, quantity, marker, number, sha256, region"


class Unavailable(Exception):
    """The database is away, read-only, or too slow."""


class Orders:
    """Orders over a small pool of connections that heals itself."""

    def __init__(
        self, dsn: str, region: str, identity: dict[str, Any], peers: dict[str, str], payments_port: int
    ) -> None:
        self._dsn = dsn
        self._peers = peers
        self._region = region
        self._identity = identity
        self._payments_port = payments_port
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        # Of several servers each is logged in to before it says that it takes no writes: dear, in a storm.
        self._pause_s = SEVERAL_PAUSE_S if "," in dsn else 0.0
        self._pause_until_s = 0.0

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
                return await self._purge(request.query["marker"])
            case ("GET", "health"):
                rows = await self._query("select pg_is_in_recovery()")
                return (503, {"error": "read only"}) if rows[0][0] else (200, {"region": self._region})
            case ("GET", "identity"):
                return 200, {**self._identity, "region": self._region, "nodes": await self._nodes()}
            case ("GET", "payments", "health"):
                return await passed_on(self._payments_port, "payments")
            case _:
                return 404, {"error": "no such thing"}

    async def _nodes(self) -> dict[str, dict[str, str]]:
        """Return each node's labels: where it stands, and the role that it says it has now."""
        roles = await asyncio.gather(*(role_of(dsn) for dsn in self._peers.values()))
        labels: dict[str, dict[str, str]] = self._identity["nodes"]
        return {name: {**labels[name], "role": role} for name, role in zip(self._peers, roles, strict=True)}

    async def _place(self, order: dict[str, Any]) -> Reply:
        number = order.get("number")
        if number is not None and not isinstance(number, int):
            return 400, {"error": "number is no whole number"}
        rows = await self._query(
            "insert into orders (item, quantity, marker, number, sha256, region)"
            " values (%s, %s, %s, %s, %s, %s) returning id",
            (
                str(order.get("item", "thing"))[:200],
                int(order.get("quantity", 1)),
                order.get("marker"),
                number,
                order.get("sha256"),
                self._region,
            ),
        )
        return 201, {"id": rows[0][0]}

    async def _list(self, query: dict[str, str]) -> Reply:
        if "marker" in query:
            rows = await self._query(
                f"select {_COLUMNS} from orders where marker = %s order by id",  # noqa: S608 - constant
                (query["marker"],),
                timeout_s=10.0,
            )
        else:
            limit = min(max(int(query.get("limit", "20")), 1), 1000)
            rows = await self._query(
                f"select {_COLUMNS} from orders order by id desc limit %s",  # noqa: S608 - constant
                (limit,),
            )
        names = _COLUMNS.split(", ")
        return 200, {"orders": [dict(zip(names, row, strict=True)) for row in rows]}

    async def _purge(self, marker: str) -> Reply:
        rows = await self._query(
            "with gone as (delete from orders where marker = %s returning 1) select count(*) from gone",
            (marker,),
            timeout_s=10.0,
        )
        return 200, {"purged": rows[0][0]}

    async def _query(
        self, query: str, values: tuple[Any, ...] = (), timeout_s: float = QUERY_TIMEOUT_S
    ) -> list[tuple[Any, ...]]:
        async with self._slots:
            connection = await self._take()
            try:
                async with asyncio.timeout(timeout_s):
                    cursor = await connection.execute(query, values)
                    rows = await cursor.fetchall()
            except (psycopg.Error, TimeoutError) as error:
                await self._discard(connection)
                if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
                    await self._forget()
                reason = " ".join(str(error).split()) or "the database is too slow"
                raise Unavailable(reason) from None
            self._idle.append(connection)
            return rows

    async def _take(self) -> psycopg.AsyncConnection[Any]:
        while self._idle:
            connection = self._idle.pop()
            # An idle connection with something to read has been told that it is over.
            if not select.select([connection.fileno()], [], [], 0)[0]:
                return connection
            await self._discard(connection)
        now_s = asyncio.get_running_loop().time()
        if now_s < self._pause_until_s:
            raise Unavailable("no server takes writes: it was asked a moment ago")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        except (psycopg.Error, TimeoutError) as error:
            self._pause_until_s = now_s + self._pause_s
            raise Unavailable(" ".join(str(error).split()) or "no connection to the database") from None

    async def _forget(self) -> None:
        """One connection broke, so all are suspect: the server behind them may be gone."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await self._discard(connection)

    async def _discard(self, connection: psycopg.AsyncConnection[Any]) -> None:
        with contextlib.suppress(psycopg.Error, OSError):
            await connection.close()


async def role_of(dsn: str) -> str:
    """Ask one node which role it has: primary, standby or down."""
    try:
        async with (
            asyncio.timeout(CONNECT_TIMEOUT_S),
            await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
        ):
            rows = await (await connection.execute("select pg_is_in_recovery()")).fetchall()
            return "standby" if rows[0][0] else "primary"
    except (psycopg.Error, TimeoutError):
        return "down"


async def main() -> None:
    """Serve until stdin ends: the first line of stdin says how, its end says that the lab is gone."""
    config = json.loads(sys.stdin.buffer.readline())
    keys = ("dsn", "region", "identity", "peers", "payments_port")
    orders = Orders(*(config[key] for key in keys))
    server = await serve(orders.handle)
    os.write(1, f"{port_of(server)}\n".encode())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
