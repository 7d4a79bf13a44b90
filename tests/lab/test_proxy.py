"""The proxies alone: each toxic does what its name says, through the API that Toxiproxy's clients use."""

from __future__ import annotations

import asyncio
import json

import pytest

from gameday.lab.errors import LabError
from gameday.lab.httpd import Request
from gameday.lab.proxy import Proxy
from gameday.lab.toxics import ToxicsApi


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


def with_proxy(test):
    """Run `test(proxy, ask)` with a proxy before an echo server."""

    async def run():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        proxy = Proxy("users", server.sockets[0].getsockname()[1])
        await proxy.enable(0)
        api = ToxicsApi({"users": proxy})

        async def ask(method, path, **body):
            parts = tuple(part for part in path.split("/") if part)
            return await api.handle(Request(method, parts, {}, {}, json.dumps(body).encode()))

        try:
            await asyncio.wait_for(test(proxy, ask), 20)
        finally:
            proxy.cut()
            server.close()

    asyncio.run(run())


async def round_trip(proxy, wait_s=10.0):
    return await round_trip_to(proxy.port, wait_s)


async def round_trip_to(port, wait_s=10.0):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    writer.write(b"hello")
    try:
        data = await asyncio.wait_for(reader.read(100), wait_s)
    finally:
        writer.transport.abort()
    return data, loop.time() - began_s


def toxic(kind, toxicity=1.0, **attributes):
    return {"type": kind, "toxicity": toxicity, "attributes": attributes}


@pytest.mark.slow
def test_toxicity_is_the_share_of_connections_affected():
    async def test(proxy, ask):
        await ask("POST", "/proxies/users/toxics", **toxic("latency", 0.0, latency=5000))
        assert (await round_trip(proxy))[1] < 2.5
        await ask("DELETE", "/proxies/users/toxics/latency_downstream")
        await ask("POST", "/proxies/users/toxics", **toxic("latency", 0.5, latency=300))
        slow = [(await round_trip(proxy))[1] >= 0.3 for _ in range(20)]
        assert True in slow

    with_proxy(test)


def test_a_stall_with_a_timeout_throws_the_connection_away():
    async def test(proxy, ask):
        await ask("POST", "/proxies/users/toxics", **toxic("timeout", timeout=100))
        try:
            data, _ = await round_trip(proxy)
        except ConnectionError:
            data = b""
        assert data == b""
        await ask("POST", "/reset")
        assert (await round_trip(proxy))[0] == b"hello"

    with_proxy(test)


def test_slow_close_holds_the_end_back():
    async def test(proxy, ask):
        await ask("POST", "/proxies/users/toxics", **toxic("slow_close", delay=300))
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        began_s = asyncio.get_running_loop().time()
        writer.write_eof()
        assert await reader.read(100) == b""
        assert asyncio.get_running_loop().time() - began_s >= 0.29
        writer.close()

    with_proxy(test)


def test_what_is_in_flight_on_a_delayed_link_never_arrives_after_a_cut():
    async def test(proxy, ask):
        await ask("POST", "/proxies/users/toxics", **toxic("latency", latency=200))
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        await asyncio.sleep(0.05)
        await ask("POST", "/proxies/users", enabled=False)
        try:
            assert await reader.read(100) == b""
        except ConnectionError:
            pass
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)

    with_proxy(test)


def test_the_api_switches_the_upstream_on_loopback_only():
    async def test(proxy, ask):
        async def other(reader, writer):
            await reader.read(10)
            writer.write(b"other")
            await writer.drain()

        second = await asyncio.start_server(other, "127.0.0.1", 0)
        port = second.sockets[0].getsockname()[1]
        _, mine = await ask("POST", "/proxies", name="mine", upstream=f"127.0.0.1:{proxy.upstream_port}")
        assert (await ask("POST", "/proxies/mine", upstream=f"127.0.0.1:{port}"))[0] == 200
        assert (await round_trip_to(int(mine["listen"].rpartition(":")[2])))[0] == b"other"
        for wrong in ({"upstream": "192.0.2.1:80"}, {"upstream": "127.0.0.1:x"}):
            with pytest.raises(LabError):
                await ask("POST", "/proxies/mine", **wrong)
        with pytest.raises(LabError, match="part of the lab"):  # The lab must know where its users go.
            await ask("POST", "/proxies/users", upstream=f"127.0.0.1:{port}")
        assert (await ask("DELETE", "/proxies/mine"))[0] == 204
        assert (await ask("GET", "/proxies/none"))[0] == 404
        assert (await ask("GET", "/proxies/users/toxics/none"))[0] == 404
        second.close()

    with_proxy(test)
