"""A ledger in any database that SQLAlchemy speaks to: a table of its own, a transaction a write.

The table bears the run's name and is dropped at the end. A write is `insert` and `commit` as real ones
are: what fails before the commit was sent certainly had no effect; what fails in it is unknown.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from gameday.hosts.stores import ACKED, Outcome, failed, unknown

_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class SqlStore:
    """One table. Each thread keeps a connection, and a new one after anything has gone wrong."""

    def __init__(self, spec: dict[str, Any], run: str, timeout_s: float) -> None:
        scheme, mark, rest = spec["url"].partition("://")
        url = sa.make_url(_DRIVERS.get(scheme, scheme) + mark + rest)
        options: dict[str, Any] = {}
        if url.get_backend_name() == "postgresql":
            # No `statement_timeout`: it ends a commit's wait for its standby with success.
            limit_ms = max(int(timeout_s * 1000), 1)
            options = {
                "connect_timeout": max(round(timeout_s), 2),
                "options": f"-c lock_timeout={limit_ms}",
                "tcp_user_timeout": 2 * limit_ms,
            }
        self._engine = sa.create_engine(url, poolclass=NullPool, connect_args=options)
        self._table = sa.Table(
            f"gameday_ledger_{hashlib.sha256(run.encode()).hexdigest()[:16]}",
            sa.MetaData(),
            sa.Column("number", sa.BigInteger),
            sa.Column("sha256", sa.String(64)),
            sa.Column("payload", sa.String(200)),
        )
        self._mine = threading.local()

    def prepare(self) -> None:
        """Create the table."""
        with self._engine.begin() as connection:
            self._table.create(connection, checkfirst=True)

    def write(self, number: int, sha256: str, payload: str) -> Outcome:
        """Insert one row and commit it."""
        try:
            connection = self._connection()
        except SQLAlchemyError as error:
            return failed(_words(error))
        try:
            connection.execute(
                self._table.insert().values(number=number, sha256=sha256, payload=payload[:200])
            )
        except SQLAlchemyError as error:
            self._drop()
            self._mend(error)
            return failed(_words(error))
        try:
            connection.commit()
        except SQLAlchemyError as error:
            self._drop()
            return unknown(_words(error))
        return ACKED

    def read_all(self) -> list[tuple[int, str]]:
        """Read the table, where there is one: a store that was restored without it holds nothing of it."""
        try:
            with self._engine.connect() as connection:
                if not sa.inspect(connection).has_table(self._table.name):
                    return []
                rows = connection.execute(sa.select(self._table.c.number, self._table.c.sha256))
                return [(int(row[0]), str(row[1])) for row in rows]
        except SQLAlchemyError as error:
            raise OSError(_words(error)) from error

    def purge(self) -> int:
        """Drop the table."""
        self._drop()
        found = len(self.read_all())
        try:
            with self._engine.begin() as connection:
                self._table.drop(connection, checkfirst=True)
        except SQLAlchemyError as error:
            raise OSError(_words(error)) from error
        return found

    def _connection(self) -> sa.Connection:
        if getattr(self._mine, "connection", None) is None:
            self._mine.connection = self._engine.connect()
        connection: sa.Connection = self._mine.connection
        return connection

    def _drop(self) -> None:
        connection = getattr(self._mine, "connection", None)
        self._mine.connection = None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except SQLAlchemyError:
                return  # It is gone already.

    def _mend(self, error: SQLAlchemyError) -> None:
        """Make the table anew where it is gone: the writes after a restore are to be counted too."""
        if not isinstance(error, DBAPIError) or error.connection_invalidated:
            return
        try:
            self.prepare()
        except SQLAlchemyError:
            return  # The next write says what is wrong.


def _words(error: SQLAlchemyError) -> str:
    """Return what the driver said, without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {cause}"
