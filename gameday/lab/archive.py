"""The lab of one database with an archive: base backups, archived WAL, and restores to a point in time.

    disk/node-db/       the database users are on, archiving each WAL segment at least once a second
    archive/            its WAL segments, by `archive_command`
    backups/N/          base backups, the newest last; each with PostgreSQL's own manifest

An accident drops the orders table. A restore stops what is left, takes the newest backup, checks it
against its manifest, and replays the archive up to a moment before the accident.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg

from gameday.lab.damage import flip, heal
from gameday.lab.errors import LabError
from gameday.lab.httpd import Request
from gameday.lab.node import Node
from gameday.lab.pair import SCHEMA
from gameday.lab.programs import Programs
from gameday.lab.proxy import Proxy
from gameday.lab.smalldisk import SmallDisk
from gameday.lab.system import ENVIRONMENT, Services, until

RESTORE_TIMEOUT_S = 30.0
DISK_MB = 128
_TARGETS = ("database:orders", "backup:newest", "disk:db")
_TABLE = "select to_regclass('orders') is not null"


class ArchiveSystem:
    """One node, its archive and its backups."""

    def __init__(self, folder: Path, programs: Programs, services: Services) -> None:
        self._folder = folder
        self._programs = programs
        self._services = services
        self._password = secrets.token_urlsafe(18)
        self._disk = SmallDisk(folder / "disk", DISK_MB)
        self.node = Node("db", self._disk.folder, programs, self._password)
        self.node.log = folder / "node-db.log"
        self._archive = folder / "archive"
        self._backups = folder / "backups"
        self._users = Proxy("users", 0)
        self._lock = asyncio.Lock()
        self._accident = ""
        self._number = 0

    def proxies(self) -> dict[str, Proxy]:
        """Return the users' path."""
        return {"users": self._users}

    async def up(self, port: int) -> dict[str, Any]:
        """Make the database, its archive and a first backup."""
        for folder in (self._archive, self._backups):
            folder.mkdir(mode=0o700)
            self._programs.give(folder)
        password_file = self._folder / "password"
        password_file.write_text(self._password + "\n", encoding="ascii")
        password_file.chmod(0o600)
        try:
            await self.node.create(password_file, "--wal-segsize=1")
        finally:
            password_file.unlink()
        self.node.configure(
            archive_mode="on",
            archive_command=f"cp %p {self._archive}/%f",
            archive_timeout="1s",
            wal_keep_size="16MB",
        )
        await self.node.start()
        await self.node.sql(SCHEMA)
        await self._backup()
        payments_port = await self._services.start("payments", None)
        config = {
            "dsn": self.node.dsn,
            "region": "db",
            "identity": {
                "environment": ENVIRONMENT,
                "name": "gameday-lab-archive",
                "id": f"gameday-lab-{secrets.token_hex(6)}",
                "nodes": {"db": {"region": "here"}},
                "targets": {name: {"region": "here", "node": "db"} for name in _TARGETS},
            },
            "peers": {"db": self.node.dsn},
            "payments_port": payments_port,
        }
        self._users.upstream_port = await self._services.start("orders", config)
        try:
            await self._users.enable(port)
        except OSError:
            raise LabError(f"port {port} is taken: choose another with --port, or leave it out") from None
        return {"nodes": {"db": {"region": "here", "port": self.node.port, "dsn": self.node.dsn}}}

    async def act(self, request: Request) -> bool:
        """Carry out what was asked. All of it may be repeated."""
        if request.method != "POST":
            return False
        asked = request.json()
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "accident": self._drop_orders,
            "nodes/db/stop": self.node.stop,
            "backup": self._backup,
            "backup/verify": lambda: self._verify(self._newest()),
            "backup/damage": lambda: asyncio.to_thread(flip, self._newest()),
            "backup/mend": lambda: asyncio.to_thread(heal, self._backups),
            "disk/fill": lambda: asyncio.to_thread(self._disk.fill),
            "disk/free": self._free_disk,
            "restore": lambda: self._restore(float(asked.get("seconds_before", 1.0))),
        }
        action = actions.get("/".join(request.path))
        if action is None:
            return False
        async with self._lock:
            try:
                await action()
            except psycopg.Error as error:
                raise LabError(" ".join(str(error).split())) from error
        return True

    async def _drop_orders(self) -> None:
        """The accident: somebody drops the table. The server's own clock says when that was."""
        if not (await self.node.sql(_TABLE))[0][0]:
            return
        async with (
            await psycopg.AsyncConnection.connect(self.node.dsn) as connection,
            connection.transaction(),
        ):
            # Once the table is locked nothing more is written to it: that is the moment of the accident.
            await connection.execute("lock table orders in access exclusive mode")
            cursor = await connection.execute(
                "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US+00')"
            )
            row = await cursor.fetchone()
            assert row is not None
            await connection.execute("drop table orders")
        self._accident = str(row[0])

    async def _backup(self) -> None:
        self._number += 1
        folder = self._backups / f"{self._number:03d}"
        await self._programs.run(
            "pg_basebackup", "-D", str(folder), "-X", "stream", "-c", "fast", "--no-sync",
            "-d", f"host=127.0.0.1 port={self.node.port} user=postgres",
            password=self._password,
        )  # fmt: skip

    def _newest(self) -> Path:
        return max(path for path in self._backups.iterdir() if path.is_dir())

    async def _verify(self, backup: Path) -> None:
        """Check every file of a backup against its manifest."""
        await self._programs.run("pg_verifybackup", "--exit-on-error", "--no-parse-wal", str(backup))

    async def _restore(self, seconds_before: float) -> None:
        """Bring the database back as it was so long before the accident; nothing when it is sound."""
        if await self._is_sound():
            return
        if not self._accident:
            raise LabError("nothing has happened that could be gone back before")
        backup = self._newest()
        await self._verify(backup)
        if self.node.running:
            with contextlib.suppress(psycopg.Error):
                await self.node.sql("select pg_switch_wal()")
                await asyncio.sleep(0.2)  # What is in the last segment is archived.
            await self.node.stop()
        shutil.rmtree(self.node.folder)
        shutil.copytree(backup, self.node.folder, symlinks=True)
        self.node.folder.chmod(0o700)
        (self.node.folder / "recovery.signal").touch()
        self._programs.give(self.node.folder)
        self.node.configure(
            restore_command=f"cp {self._archive}/%f %p",
            recovery_target_time=await self._moment(seconds_before),
            recovery_target_action="promote",
        )
        await self.node.start()
        await until(self._is_writable, "the restored database does not leave recovery", RESTORE_TIMEOUT_S)
        self._accident = ""

    async def _free_disk(self) -> None:
        """Make room, and start the database where it gave up for want of it."""
        self._disk.free()
        if not await self._is_writable():
            await self.node.stop()
            await self.node.start()

    async def _moment(self, seconds_before: float) -> str:
        """Return the accident's time less some seconds, as PostgreSQL reads it."""
        from datetime import datetime, timedelta  # noqa: PLC0415 - used here alone

        at = datetime.strptime(f"{self._accident}00", "%Y-%m-%d %H:%M:%S.%f%z")
        return (at - timedelta(seconds=seconds_before)).strftime("%Y-%m-%d %H:%M:%S.%f%z")

    async def _is_writable(self) -> bool:
        return await self.node.role() == "primary"

    async def _is_sound(self) -> bool:
        if not await self._is_writable():
            return False
        try:
            return bool((await self.node.sql(_TABLE))[0][0])
        except psycopg.Error:
            return False

    async def state(self) -> dict[str, Any]:
        """Return how it stands. Whole: the database serves, its table is there, its backup is sound."""
        sound = await self._is_sound()
        damaged = (self._backups / "damage").exists()
        reasons = [] if sound else ["the orders table is not there, or its database does not serve"]
        reasons += ["a backup is damaged"] if damaged else []
        reasons += ["the disk is full"] if self._disk.is_full() else []
        if not self._users.enabled:
            reasons.append("proxy users is cut")
        reasons += [f"toxic {toxic} on proxy users" for toxic in self._users.toxics]
        return {
            "nodes": {"db": {"role": await self.node.role(), "running": self.node.running}},
            "users_path": "db",
            "orders_table": sound,
            "backup_damaged": damaged,
            "disk_full": self._disk.is_full(),
            "accident_at": self._accident,
            "whole": not reasons,
            "why_not_whole": reasons,
        }

    async def down(self) -> None:
        """End the database."""
        self.node.kill()
        await self.node.wait_dead()
