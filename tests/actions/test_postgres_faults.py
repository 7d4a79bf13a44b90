"""Faults on a real PostgreSQL: connections exhausted, a table locked, a standby that does not replay."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from gameday.actions import faults, postgres
from gameday.actions.http import ActionError
from tests.actions.conftest import wait


def dsn(lab, node="a"):
    return json.loads(Path(lab["lab.state_file"]).read_text())["nodes"][node]["dsn"]


def test_no_connection_is_left_until_the_undo(lab, unique):
    assert not postgres.is_exhausted(unique)
    postgres.exhaust_connections("a", name=unique, ttl_s=60, configuration=lab)
    assert postgres.is_exhausted(unique)
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        psycopg.connect(dsn(lab), connect_timeout=5)
    with pytest.raises(ActionError, match="in place already"):
        postgres.exhaust_connections("a", name=unique, ttl_s=60, configuration=lab)
    postgres.free_connections(unique)
    assert not postgres.is_exhausted(unique)

    def can_connect():
        try:
            psycopg.connect(dsn(lab), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    wait(can_connect, what="a free connection")
    postgres.free_connections(unique)


def test_a_locked_table_takes_no_rows_until_the_undo(lab, unique):
    def can_insert():
        with psycopg.connect(dsn(lab), autocommit=True) as link:
            link.execute("set lock_timeout = '100ms'")
            try:
                link.execute(
                    "insert into orders (item, quantity, marker, region) values ('x', 1, %s, 'a')", (unique,)
                )
            except psycopg.errors.LockNotAvailable:
                return False
            link.execute("delete from orders where marker = %s", (unique,))
            return True

    where = {"name": unique, "node": "a", "configuration": lab}
    assert can_insert()
    assert not postgres.is_locked(**where)
    postgres.lock_table("orders", ttl_s=60, **where)
    assert postgres.is_locked(**where)
    assert not can_insert()
    postgres.unlock_table(**where)
    wait(lambda: not postgres.is_locked(**where), what="the end of the lock")
    assert can_insert()
    postgres.unlock_table(**where)
    with pytest.raises(ActionError, match="does not exist"):
        postgres.lock_table("no_such_table", ttl_s=60, **where)
    assert not faults.workers(unique)
    with pytest.raises(ActionError, match="expected one of"):
        postgres.lock_table("orders", mode="; drop table orders", ttl_s=60, **where)


def test_a_standby_receives_and_does_not_replay(lab, monkeypatch):
    def rows(node):
        with psycopg.connect(dsn(lab, node)) as link:
            return link.execute("select count(*) from orders where marker = 'replay'").fetchone()[0]

    assert not postgres.is_replay_paused("b", configuration=lab)
    postgres.pause_replay("b", configuration=lab)
    assert postgres.is_replay_paused("b", configuration=lab)
    with psycopg.connect(dsn(lab), autocommit=True) as link:
        link.execute("insert into orders (item, quantity, marker, region) values ('x', 1, 'replay', 'a')")
        written = link.execute("select pg_current_wal_lsn()").fetchone()[0]
        received = "select pg_last_wal_receive_lsn() >= %s::pg_lsn"
        with psycopg.connect(dsn(lab, "b"), autocommit=True) as standby:
            wait(lambda: standby.execute(received, (written,)).fetchone()[0], what="the write on the standby")
        assert rows("b") == 0
        postgres.resume_replay("b", configuration=lab)
        assert not postgres.is_replay_paused("b", configuration=lab)
        wait(lambda: rows("b") == 1, what="the row")
        postgres.resume_replay("b", configuration=lab)
        link.execute("delete from orders where marker = 'replay'")
    with pytest.raises(ActionError, match="no standby"):
        postgres.pause_replay("a", configuration=lab)
    postgres.resume_replay("a", configuration=lab)
    monkeypatch.setenv("ELSEWHERE", dsn(lab, "b"))
    assert not postgres.is_replay_paused(dsn_env="ELSEWHERE")
    with pytest.raises(ActionError, match="NOT_SET is not set"):
        postgres.is_replay_paused(dsn_env="NOT_SET")


def test_no_record_of_a_fault_holds_a_password(lab, unique, fault_dir):
    password = dsn(lab).split("password=")[1].split()[0]
    postgres.lock_table("orders", "a", name=unique, ttl_s=60, configuration=lab)
    texts = [path.read_bytes() for path in fault_dir.iterdir()]
    for pid, _ in faults.workers(unique):
        texts += [Path(f"/proc/{pid}/{what}").read_bytes() for what in ("cmdline", "environ")]
    assert len(texts) >= 4
    assert not any(password.encode() in text for text in texts)
    postgres.unlock_table(unique)
