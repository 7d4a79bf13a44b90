"""The pair of nodes as one system: who is primary, which path users take, what makes it whole.

The rules that keep it from splitting stand here: a fenced node does not start, a node is not
promoted while another one is a running primary, and a node that was left behind only rejoins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from gameday.lab.errors import Conflict, LabError
from gameday.lab.node import STREAM_TIMEOUT_S, Node
from gameday.lab.proxy import Proxy

SCHEMA = """
create table orders (
    id bigint generated always as identity primary key,
    item text not null, quantity int not null,
    marker text, number bigint, sha256 text, region text not null,
    placed_at timestamptz not null default clock_timestamp());
create index on orders (marker) where marker is not null
"""


class Pair:
    """Nodes a and b, the replication link in front of each, and the users' path."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        self.links = {name: Proxy(f"replication-{name}", node.port) for name, node in nodes.items()}
        self.users = Proxy("users", 0)
        self.region = "a"
        self.mode = "async"
        self._order_ports: dict[str, int] = {}
        self._lock = asyncio.Lock()

    def proxies(self) -> dict[str, Proxy]:
        """Return every proxy by name."""
        return {proxy.name: proxy for proxy in (self.users, *self.links.values())}

    async def create(self, password_file: Path) -> None:
        """Make both nodes, b as a standby of a."""
        a, b = self.nodes["a"], self.nodes["b"]
        await a.create(password_file)
        await a.start()
        for link in self.links.values():
            await link.enable(0)
        await a.sql(SCHEMA)
        await b.copy_from(a, self.links["a"].port)
        await b.start()
        await self._until(b.is_streaming, "node b does not stream from node a")

    async def open(self, order_ports: dict[str, int], port: int) -> None:
        """Open the users' path, to region a.

        Raises:
            OSError: The port is taken.
        """
        self._order_ports = order_ports
        self.users.upstream_port = order_ports[self.region]
        await self.users.enable(port)

    async def do(self, name: str, action: str, asked: dict[str, Any]) -> None:
        """Carry out one action on one node. All of them may be repeated.

        Raises:
            LabError: There is no such node or action, or it failed.
            Conflict: It would split the pair.
        """
        node = self.nodes.get(name)
        if node is None:
            raise LabError(f"no node {name!r}; there are {', '.join(self.nodes)}")
        if action == "kill":
            await self.kill(node)  # Waits for nobody: a machine does not ask before it dies.
            return
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "start": lambda: self._start(node),
            "stop": lambda: self._stop(node),
            "fence": lambda: self._fence(node),
            "unfence": lambda: self._unfence(node),
            "promote": lambda: self._promote(node),
            "checkpoint": lambda: self._checkpoint(node),
            "rejoin": lambda: self._rejoin(node, str(asked.get("source", ""))),
        }
        if action not in actions:
            raise LabError(f"no action {action!r}; there are kill, {', '.join(actions)}")
        async with self._lock:
            try:
                await actions[action]()
            except psycopg.Error as error:
                raise LabError(f"{action} of node {name}: {' '.join(str(error).split())}") from error

    async def kill(self, node: Node) -> None:
        """Lose the machine: its processes, its links, and the bytes in flight on them."""
        node.kill()
        self.links[node.name].cut()
        await node.wait_dead()

    async def _start(self, node: Node) -> None:
        was_standby = (node.folder / "standby.signal").exists()
        for other in self._others(node):
            if not was_standby and not node.fenced and not node.running and await other.role() == "primary":
                raise Conflict(f"node {other.name} is primary now: node {node.name} may only rejoin it")
        await node.start()
        await self.links[node.name].enable()
        await self._apply_mode()

    async def _stop(self, node: Node) -> None:
        await node.stop()
        self.links[node.name].cut()

    async def _fence(self, node: Node) -> None:
        node.fenced = True
        if node.running:
            await self._stop(node)

    async def _unfence(self, node: Node) -> None:
        node.fenced = False

    async def _promote(self, node: Node) -> None:
        for other in self._others(node):
            if await other.role() == "primary":
                raise Conflict(f"node {other.name} is a running primary: fence it first, or the data splits")
        if node.fenced:
            raise Conflict(f"node {node.name} is fenced")
        if await node.role() == "down":
            raise LabError(f"node {node.name} is down and cannot be promoted")
        if await node.role() == "standby":
            # A survivor that waits for a synchronous standby would hang on its first write.
            await node.sql("alter system set synchronous_standby_names = ''")
            await node.sql("select pg_reload_conf()")
            rows = await node.sql("select pg_promote(true, 30)", timeout_s=35)
            if not rows[0][0]:
                raise LabError(f"node {node.name} was not promoted within 30 s")
        await self.links[node.name].enable()

    async def _checkpoint(self, node: Node) -> None:
        await node.sql("checkpoint", timeout_s=60)

    async def _rejoin(self, node: Node, source_name: str) -> None:
        """Come back as a standby of the new primary, whatever was written after the parting."""
        source = self.nodes.get(source_name)
        if source is None or source is node:
            raise LabError(f"rejoin: source {source_name!r} is no other node")
        if await source.role() != "primary":
            raise Conflict(f"node {source_name} is no primary: node {node.name} cannot follow it")
        node.fenced = False
        if await node.role() == "standby" and await node.is_streaming():
            return
        await node.stop()
        self.links[node.name].cut()
        await self.links[source.name].enable()
        # pg_rewind reads the source's timeline from its last checkpoint.
        await source.sql("checkpoint", timeout_s=60)
        try:
            await node.rewind(source)
            node.follow(self.links[source.name].port)
        except LabError:
            await node.copy_from(source, self.links[source.name].port)
        await node.start()
        await self.links[node.name].enable()
        await self._until(node.is_streaming, f"node {node.name} does not stream from node {source_name}")
        await self._apply_mode()

    async def switch(self, region: str) -> None:
        """Lead the users' path to a region."""
        if region not in self._order_ports:
            raise LabError(f"no region {region!r}; there are {', '.join(self._order_ports)}")
        self.region = region
        self.users.switch(self._order_ports[region])

    async def set_mode(self, mode: str) -> None:
        """Choose asynchronous or synchronous (`remote_apply`) replication."""
        if mode not in ("async", "remote_apply"):
            raise LabError(f"replication mode {mode!r}: expected async or remote_apply")
        async with self._lock:
            self.mode = mode
            await self._apply_mode()

    async def _apply_mode(self) -> None:
        """Bring the primary's settings in line with the mode, when there is a standby to wait for."""
        for node in self.nodes.values():
            if await node.role() != "primary":
                continue
            streaming = any([await other.is_streaming() for other in self._others(node)])
            sync = self.mode == "remote_apply" and streaming
            names, commit = ("*", "remote_apply") if sync else ("", "on")
            await node.sql(f"alter system set synchronous_commit = '{commit}'")
            await node.sql(f"alter system set synchronous_standby_names = '{names}'")
            await node.sql("select pg_reload_conf()")
            if sync:
                await self._until(partial(_is_sync, node), "no standby became synchronous")

    def _others(self, node: Node) -> list[Node]:
        return [other for other in self.nodes.values() if other is not node]

    async def _until(self, is_so: Callable[[], Awaitable[bool]], complaint: str) -> None:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + STREAM_TIMEOUT_S
        while not await is_so():
            if loop.time() > give_up_s:
                raise LabError(complaint)
            await asyncio.sleep(0.02)

    async def state(self) -> dict[str, Any]:
        """Return how everything stands, and whether the lab is whole."""
        nodes = {name: await self._node_state(node) for name, node in self.nodes.items()}
        reasons = self._reasons(nodes)
        return {
            "nodes": nodes,
            "users_path": self.region,
            "sync": self.mode == "remote_apply",
            "whole": not reasons,
            "why_not_whole": reasons,
        }

    async def _node_state(self, node: Node) -> dict[str, Any]:
        role = await node.role()
        standby = role == "standby"
        return {
            "running": node.running,
            "role": role,
            "fenced": node.fenced,
            "streaming": standby and await node.is_streaming(),
            "lag_bytes": await node.lag_bytes() if standby else None,
            "pid": node.pid,
        }

    def _reasons(self, nodes: dict[str, dict[str, Any]]) -> list[str]:
        """Whole: one writable primary, the users' path on it, its standby streaming, no fault left."""
        reasons = []
        primaries = [name for name, node in nodes.items() if node["role"] == "primary"]
        if len(primaries) != 1:
            reasons.append(f"{len(primaries)} primaries")
        elif primaries[0] != self.region:
            reasons.append(f"the users' path leads to {self.region}, the primary is {primaries[0]}")
        for name, node in nodes.items():
            if node["fenced"]:
                reasons.append(f"node {name} is fenced")
            if node["role"] == "down":
                reasons.append(f"node {name} is down")
            elif node["role"] == "standby" and not node["streaming"]:
                reasons.append(f"node {name} does not stream")
        for proxy in self.proxies().values():
            if not proxy.enabled:
                reasons.append(f"proxy {proxy.name} is cut")
            reasons += [f"toxic {toxic} on proxy {proxy.name}" for toxic in proxy.toxics]
        return reasons


async def _is_sync(node: Node) -> bool:
    rows = await node.sql("select 1 from pg_stat_replication where sync_state in ('sync', 'quorum')")
    return bool(rows)
