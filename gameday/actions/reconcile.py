"""Reconciliation beyond the ledger: a table of the source held against that of the recovered store.

A ledger samples; this looks at every row. Both sides are asked for the same figures by bucket of time:
how many rows, the sums of some columns, and the sum of a hash of each row, which does not depend on their
order and does not let two rows cancel. Rows younger than a moment before now are left out: they are
still on their way. PostgreSQL on both sides.

    SAYS  equal: orders 12034 rows in 7 buckets
          differs: orders: bucket 2026-11-24T21:00:00Z: 411 rows against 398, quantity 411 against 398
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from gameday.actions.http import ActionError, Configuration
from gameday.actions.postgres import server_dsn

__all__ = ["tables"]
SHOWN_MAX = 3
BUCKETS_MAX = 100_000
STATEMENT_TIMEOUT = "60s"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?\Z")
Figures = dict[int, tuple[str, ...]]


def tables(
    source: dict[str, str],
    recovered: dict[str, str],
    tables: list[dict[str, Any]],
    bucket_s: float = 60.0,
    settle_s: float = 2.0,
    configuration: Configuration = None,
) -> dict[str, str]:
    """Compare tables and say whether they are equal. A difference is a finding, not a failure.

    Args:
        source: What it should be: `{node: a}` of the lab, or `{dsn_env: NAME}`, an environment variable.
        recovered: What it is, likewise.
        tables: For each: `table`, `time` (the column by which rows are put in buckets), and where wanted
            `sums` (columns) and `columns` (those that are hashed; all when left out).
        bucket_s: How long a bucket is.
        settle_s: Rows younger than this are left out.
        configuration: Where the lab is.

    Raises:
        ActionError: A side cannot be asked, or a name is none.
    """
    dsns = [
        server_dsn(configuration, str(side.get("node", "")), str(side.get("dsn_env", "")))
        for side in (source, recovered)
    ]
    queries = [_query(table, bucket_s) for table in tables]
    until = _now(dsns[0]) - settle_s
    same: list[str] = []
    differ: list[str] = []
    for table, query in zip(tables, queries, strict=True):
        left, right = (_figures(dsn, query, until) for dsn in dsns)
        name = table["table"]
        found = _differences(left, right, ["rows", *table.get("sums", ()), "hash"], bucket_s)
        if found:
            more = f", and {len(found) - SHOWN_MAX} buckets more" if len(found) > SHOWN_MAX else ""
            differ.append(f"{name}: {'; '.join(found[:SHOWN_MAX])}{more}")
        else:
            same.append(f"{name} {sum(int(row[0]) for row in left.values())} rows in {len(left)} buckets")
    return {"says": f"differs: {'; '.join(differ)}" if differ else f"equal: {', '.join(same)}"}


def _query(table: dict[str, Any], bucket_s: float) -> str:
    name, time = _named(table.get("table")), _named(table.get("time"))
    sums = "".join(f", coalesce(sum({_named(column)}), 0)::text" for column in table.get("sums", ()))
    columns = ", ".join(_named(column) for column in table.get("columns", ()))
    row = f"row({columns})" if columns else "t.*"
    # 60 bits of MD5 of each row, added up: no order, and nothing cancels. Not against an adversary.
    digest = f"sum(('x' || substr(md5(({row})::text), 1, 15))::bit(60)::bigint)::text"
    figures = f"floor(extract(epoch from {time}) / {float(bucket_s)})::bigint, count(*)::text{sums}, {digest}"
    rows = f"{name} t where {time} < to_timestamp(%s)"
    return f"select {figures} from {rows} group by 1 order by 1 limit {BUCKETS_MAX + 1}"  # noqa: S608 - checked


def _named(text: object) -> str:
    if not isinstance(text, str) or not _NAME.match(text):
        raise ActionError(f"{text!r} is no name of a table or column")
    return text


def _figures(dsn: str, query: str, until: float) -> Figures:
    rows = _ask(dsn, query, (until,))
    if len(rows) > BUCKETS_MAX:
        raise ActionError(f"more than {BUCKETS_MAX} buckets: make `bucket_s` longer")
    return {int(row[0]): tuple(map(str, row[1:])) for row in rows}


def _now(dsn: str) -> float:
    return float(_ask(dsn, "select extract(epoch from clock_timestamp())", ())[0][0])


def _ask(dsn: str, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Ask with all that shapes a row's text set alike on both sides."""
    import psycopg  # noqa: PLC0415 - only when it is needed

    options = "-c timezone=UTC -c datestyle=ISO -c extra_float_digits=1"
    options += f" -c statement_timeout={STATEMENT_TIMEOUT}"
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=3, options=options) as link:
            return link.execute(query.encode(), values).fetchall()
    except psycopg.Error as error:
        raise ActionError(f"the server did not answer: {' '.join(str(error).split())[:200]}") from None


def _differences(left: Figures, right: Figures, names: list[str], bucket_s: float) -> list[str]:
    found = []
    for bucket in sorted(left.keys() | right.keys()):
        here, there = left.get(bucket), right.get(bucket)
        if here == there:
            continue
        begins = datetime.fromtimestamp(bucket * bucket_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        nothing = ("0",) * len(names)
        pairs = zip(names, here or nothing, there or nothing, strict=True)
        unlike = [(name, a, b) for name, a, b in pairs if a != b]
        words = [f"{name} {a} against {b}" for name, a, b in unlike if name != "hash"]
        found.append(f"bucket {begins}: {', '.join(words) or 'same counts and sums, other contents'}")
    return found
