"""Reconciliation on real databases: every kind of difference is seen, and nothing else is."""

from __future__ import annotations

import json

import psycopg
import pytest

from gameday.actions.http import ActionError
from gameday.actions.reconcile import tables

SCHEMA = "create table {0} (id int, item text, quantity int, amount float8, placed_at timestamptz)"
ROWS = (
    "insert into {0} select n, 'thing ' || n, n % 5, n / 7.0,"
    " timestamptz '2026-11-24 21:00Z' + n * interval '1 s' from generate_series(1, 300) n {1}"
)


@pytest.fixture
def sides(lab, monkeypatch):
    """Two databases on one server, each with a table of the same rows written in another order."""
    dsn = json.loads(open(lab["lab.state_file"]).read())["nodes"]["a"]["dsn"]
    names = ("reconcile_source", "reconcile_recovered")
    with psycopg.connect(dsn, autocommit=True) as link:
        for name in names:
            link.execute(f"create database {name}")
    made = {}
    for name, order in zip(names, ("order by n", "order by n desc"), strict=True):
        made[name] = dsn.replace("dbname=postgres", f"dbname={name}")
        monkeypatch.setenv(name.upper(), made[name])
        with psycopg.connect(made[name]) as link:
            link.execute(SCHEMA.format("orders"))
            link.execute(ROWS.format("orders", order))
    yield lambda query: _change(made["reconcile_recovered"], query)
    with psycopg.connect(dsn, autocommit=True) as link:
        for name in names:
            link.execute(f"drop database {name} with (force)")


def _change(dsn, query):
    with psycopg.connect(dsn) as link:
        link.execute(query)


def compared(**more):
    table = {"table": "orders", "time": "placed_at", "sums": ["quantity"], **more}
    return tables({"dsn_env": "RECONCILE_SOURCE"}, {"dsn_env": "RECONCILE_RECOVERED"}, [table])["says"]


CHANGES = [
    ("delete from orders where id = 65", "bucket 2026-11-24T21:01:00Z: rows 60 against 59"),
    (
        "insert into orders select * from orders where id = 5",
        "bucket 2026-11-24T21:00:00Z: rows 59 against 60",
    ),
    ("update orders set quantity = 99 where id = 130", "quantity 120 against"),
    ("update orders set item = 'other' where id = 130", "same counts and sums, other contents"),
    ("update orders set amount = amount + 1e-9 where id = 130", "same counts and sums, other contents"),
    ("update orders set placed_at = placed_at + interval '1 h' where id = 1", "bucket 2026-11-24T22:00:00Z"),
    ("update orders set item = case id when 7 then 'thing 8' else 'thing 7' end where id in (7, 8)", "other"),
    ("delete from orders", "and 3 buckets more"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[change[:30] for change, _ in CHANGES])
def test_every_kind_of_difference_is_seen_in_its_bucket(sides, change, said):
    assert compared() == "equal: orders 300 rows in 6 buckets"
    sides(change)
    assert compared().startswith("differs: orders: ") and said in compared(), compared()


@pytest.mark.slow
def test_columns_that_are_not_asked_for_do_not_matter(sides):
    sides("update orders set item = 'other'")
    assert compared(columns=["id", "quantity"]).startswith("equal")
    assert compared(columns=["id", "item"]).startswith("differs")


@pytest.mark.slow
def test_rows_that_are_still_on_their_way_are_left_out(sides):
    sides("insert into orders values (301, 'new', 1, 1, clock_timestamp())")
    assert compared().startswith("equal")


def test_names_are_names_and_never_statements(monkeypatch):
    monkeypatch.setenv("RECONCILE_SOURCE", "host=127.0.0.1 port=1")
    monkeypatch.setenv("RECONCILE_RECOVERED", "host=127.0.0.1 port=1")
    for bad in (
        {"table": "orders; drop table orders"},
        {"time": "now()"},
        {"sums": ["1"]},
        {"columns": ["a b"]},
    ):
        with pytest.raises(ActionError, match="is no name"):
            compared(**bad)
