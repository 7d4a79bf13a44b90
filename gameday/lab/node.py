"""One PostgreSQL server of the pair, and everything that can happen to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any, cast

import psycopg

from gameday.lab.errors import Conflict, LabError
from gameday.lab.programs import NOBODY, Programs

START_TIMEOUT_S = 20.0
STREAM_TIMEOUT_S = 15.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "replica",
    "wal_keep_size": "256MB",
    "max_wal_senders": "10",
    "hot_standby": "on",
    "wal_log_hints": "on",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "wal_retrieve_retry_interval": "200ms",
    "wal_receiver_status_interval": "1s",
    "password_encryption": "scram-sha-256",
}


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """One server: its data folder, its process, whether it is fenced."""

    def __init__(self, name: str, folder: Path, programs: Programs, password: str) -> None:
        self.name = name
        self.folder = folder / f"node-{name}"
        self.log = folder / f"node-{name}.log"
        self.port = free_port()
        self.fenced = False
        self._programs = programs
        self._password = password
        self._process: asyncio.subprocess.Process | None = None

    @property
    def dsn(self) -> str:
        """How to connect to it directly."""
        return (
            f"host=127.0.0.1 port={self.port} user=postgres password={self._password} "
            "dbname=postgres connect_timeout=2"
        )

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    async def create(self, password_file: Path, *more: str) -> None:
        """Make a new, empty database cluster."""
        if self._programs.as_nobody:
            os.chown(password_file, NOBODY, NOBODY)
        self._make_folder()
        await self._programs.run(
            "initdb", "-D", str(self.folder), "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={password_file}", "--no-sync", "-E", "UTF8", "--locale=C", "--data-checksums",
            *more,
        )  # fmt: skip
        self.configure(**_SETTINGS)

    async def copy_from(self, source: Node, through_port: int) -> None:
        """Become a copy of `source` that follows it through a proxy."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._make_folder()
        await self._programs.run(
            "pg_basebackup", "-D", str(self.folder), "-X", "stream", "-c", "fast", "--no-sync",
            "-d", f"host=127.0.0.1 port={source.port} user=postgres",
            password=self._password,
        )  # fmt: skip
        self.follow(through_port)

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700)
        if self._programs.as_nobody:
            os.chown(self.folder, NOBODY, NOBODY)

    def configure(self, **settings: str) -> None:
        """Append settings; the last one wins. Takes effect at the next start."""
        path = self.folder / "postgresql.auto.conf"
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        if self._programs.as_nobody:
            os.chown(path, NOBODY, NOBODY)

    def follow(self, through_port: int) -> None:
        """Be a standby from the next start on, of whoever is behind that port."""
        self.configure(
            primary_conninfo=(
                f"host=127.0.0.1 port={through_port} user=postgres password={self._password} "
                f"application_name={self.name} connect_timeout=2"
            ),
            synchronous_standby_names="",
            synchronous_commit="on",
        )
        signal_file = self.folder / "standby.signal"
        signal_file.touch()
        if self._programs.as_nobody:
            os.chown(signal_file, NOBODY, NOBODY)

    async def start(self) -> None:
        """Start it, and wait until it takes connections. Starting twice is harmless.

        Raises:
            Conflict: It is fenced.
            LabError: It does not come up.
        """
        if self.fenced:
            raise Conflict(f"node {self.name} is fenced: it may only rejoin as a standby, or be unfenced")
        if self.running:
            return
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        self._process = await self._programs.start(
            "postgres", "-D", str(self.folder), "-p", str(self.port), log=self.log
        )
        give_up_s = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while True:
            if not self.running:
                raise LabError(f"node {self.name} does not start: {self._last_words()}")
            try:
                await self.sql("select 1")
            except psycopg.Error:
                if asyncio.get_running_loop().time() > give_up_s:
                    raise LabError(f"node {self.name} takes no connections: {self._last_words()}") from None
                await asyncio.sleep(0.02)
            else:
                return

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it left no log"
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
        return (fatal or lines or ["it left no word"])[-1]

    async def stop(self) -> None:
        """Stop it in order: what it has acknowledged is sent to its standby first."""
        await self._end(signal.SIGINT, 10.0)

    async def _end(self, number: signal.Signals, patience_s: float) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), patience_s)
        except TimeoutError:
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """Die as a machine dies: the whole tree at once, with no chance to say goodbye."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            # Stopped first, so that it neither reaps nor forks while the tree is taken down.
            os.kill(process.pid, signal.SIGSTOP)
            for child in _children(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            os.kill(process.pid, signal.SIGKILL)

    async def wait_dead(self) -> None:
        """Wait until its process is gone."""
        if self._process is not None:
            await self._process.wait()

    async def sql(self, query: str, timeout_s: float = 5.0) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            psycopg.Error: The server refused, or cannot be reached.
        """
        try:
            async with asyncio.timeout(timeout_s):
                async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
                    cursor = await connection.execute(cast("Any", query))
                    return await cursor.fetchall() if cursor.description else []
        except TimeoutError:
            raise psycopg.OperationalError(f"node {self.name} did not answer in {timeout_s:g} s") from None

    async def role(self) -> str:
        """Return primary, standby, or down."""
        if not self.running:
            return "down"
        try:
            rows = await self.sql("select pg_is_in_recovery()", timeout_s=2.0)
        except psycopg.Error:
            return "down"
        return "standby" if rows[0][0] else "primary"

    async def is_streaming(self) -> bool:
        """Tell whether it is a standby that receives from its primary now."""
        if not self.running:
            return False
        try:
            rows = await self.sql("select status from pg_stat_wal_receiver", timeout_s=2.0)
        except psycopg.Error:
            return False
        return bool(rows) and rows[0][0] == "streaming"

    async def lag_bytes(self) -> int | None:
        """Return how far it is behind what it was sent; None when it is no standby."""
        query = "select pg_wal_lsn_diff(latest_end_lsn, pg_last_wal_replay_lsn()) from pg_stat_wal_receiver"
        try:
            rows = await self.sql(query, timeout_s=2.0)
        except psycopg.Error:
            return None
        return max(int(rows[0][0]), 0) if rows and rows[0][0] is not None else None

    async def rewind(self, source: Node) -> None:
        """Go back to where it parted from `source`, so that it can follow it."""
        await self._programs.run(
            "pg_rewind", "-D", str(self.folder), "--no-sync",
            "--source-server", f"host=127.0.0.1 port={source.port} user=postgres dbname=postgres",
            password=self._password,
        )  # fmt: skip


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if int(stat[stat.rfind(")") + 2 :].split()[1]) == pid:
            found.append(int(entry.name))
    return found
