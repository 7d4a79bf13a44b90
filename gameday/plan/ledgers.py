"""Ledgers of a plan: one, or several named ones, each with the keys that its writer takes.

    orders   the lab's own path of orders; `url` and `read_url` where it is another one
    http     url: takes a numbered write by POST; read_url: lists them by GET, and removes them by DELETE
             (default: url?marker=RUN); rows: the key of the list in the answer; headers
    sql      url: of SQLAlchemy, like postgresql://user:${env.PGPASSWORD}@host/db
    redis    url: redis://host:6379/0; or sentinels: [host:port, …] and master; password
    s3       bucket; prefix, endpoint, region; credentials as boto3 finds them
    python   module: of the project, with `write` and `read_all`; with: its arguments

Secrets come from the environment, as `${env.NAME}`. They are filled in by the process that writes, so
a plan, a history or a log never holds one; a password that stands in the plan itself is refused.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

from gameday.plan.model import Ledger
from gameday.plan.schema_ledger import LedgerIn
from gameday.plan.shape import as_given
from gameday.plan.source import Source, Where

LEDGERS_MAX = 10
# By writer: the keys that are needed (each group: at least one of them), and those that may be there.
_NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "orders": (),
    "http": (("url",),),
    "sql": (("url",),),
    "redis": (("url", "sentinels"),),
    "s3": (("bucket",),),
    "python": (("module",),),
}
_TAKES: dict[str, tuple[str, ...]] = {
    "orders": ("url", "read_url"),
    "http": ("url", "read_url", "headers", "rows"),
    "sql": ("url",),
    "redis": ("url", "sentinels", "master", "password"),
    "s3": ("bucket", "prefix", "endpoint", "region"),
    "python": ("module", "arguments"),
}
_SCHEMES = {
    "orders": ("http", "https"),
    "http": ("http", "https"),
    "redis": ("redis", "rediss", "unix"),
}
_OF_EVERY = frozenset({"writer", "name", "every", "timeout"})
_WRITTEN = {"arguments": "with"}
_ENV = re.compile(r"\$\{env\.[A-Za-z_][A-Za-z0-9_]*\}\Z")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
_ADDRESS = re.compile(r"\S+:\d{1,5}\Z")
_SECRET_HEADER = re.compile(r"(?i)authorization|token|cookie|api-?key|secret")


def ledgers(given: LedgerIn | list[LedgerIn] | None, source: Source) -> tuple[Ledger, ...]:
    """Return the ledgers of a plan, noting every problem in them."""
    if given is None:
        return ()
    if isinstance(given, LedgerIn):
        return (_ledger(given, given.name or "", ("ledger",), source),)
    if not 1 <= len(given) <= LEDGERS_MAX:
        source.complain(("ledger",), f"{len(given)} ledgers: expected 1 to {LEDGERS_MAX}")
    found = []
    names: set[str] = set()
    for number, item in enumerate(given):
        name = item.name or item.writer
        if name in names:
            said = f"{name!r} is the name of another ledger too: give each a `name`"
            source.complain(("ledger", number, *(["name"] if item.name else [])), said)
        names.add(name)
        found.append(_ledger(item, name, ("ledger", number), source))
    return tuple(found)


def _ledger(item: LedgerIn, name: str, where: Where, source: Source) -> Ledger:
    given = {key: value for key, value in as_given(item).items() if key not in _OF_EVERY}
    takes = _TAKES[item.writer]
    for key in given:
        if key not in takes:
            shown = _WRITTEN.get(key, key)
            known = ", ".join(_WRITTEN.get(k, k) for k in takes)
            source.complain((*where, shown), f"writer `{item.writer}` takes no `{shown}`; it takes {known}")
    for group in _NEEDS[item.writer]:
        if not any(key in given for key in group):
            source.complain(where, f"writer `{item.writer}` needs {' or '.join(f'`{key}`' for key in group)}")
    _check(item, where, source)
    _check_secrets(item, where, source)
    if item.writer == "orders":
        given = {"url": "${lab.url}/orders"} | given
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Ledger(item.writer, text, item.every, item.timeout, name)


def _check(item: LedgerIn, where: Where, source: Source) -> None:
    if item.writer == "redis":
        _check_redis(item, where, source)
    if item.module is not None and not _MODULE.match(item.module):
        said = f"{item.module!r}: expected the dotted name of a module, like ledgers.shop"
        source.complain((*where, "module"), said)
    wanted = _SCHEMES.get(item.writer)
    for key in ("url", "read_url"):
        text = getattr(item, key)
        if text is None or text.startswith("${"):
            continue
        scheme, mark, _ = text.partition("://")
        if not mark or (wanted is not None and scheme not in wanted):
            # Not shown: a password may stand in it.
            source.complain(
                (*where, key), f"no URL for `{item.writer}`: expected one like {_like(item.writer)}"
            )


def _check_redis(item: LedgerIn, where: Where, source: Source) -> None:
    if item.url and item.sentinels:
        source.complain((*where, "sentinels"), "`url` and `sentinels` both say where it is: leave one out")
    if bool(item.sentinels) != bool(item.master):
        source.complain(where, "`sentinels` and `master` (the name that they watch) go together")
    for number, address in enumerate(item.sentinels or ()):
        if not _ADDRESS.match(address) and "${" not in address:
            said = f"{address!r}: expected host:port, like 127.0.0.1:26379"
            source.complain((*where, "sentinels", number), said)


def _like(writer: str) -> str:
    return {
        "sql": "postgresql://user:${env.PGPASSWORD}@host/db",
        "redis": "redis://host:6379/0",
    }.get(writer, "https://shop.example/orders")


def _check_secrets(item: LedgerIn, where: Where, source: Source) -> None:
    """What is written down in a plan is kept for years, by many: a secret is only ever named there."""
    todo = "name a variable of the environment instead, like ${env.LEDGER_PASSWORD}"
    for key in ("url", "read_url", "endpoint"):
        password = _password(getattr(item, key) or "")
        if password and not _ENV.match(password):
            source.complain((*where, key), f"a password stands in it: {todo}")
    if item.password is not None and not _ENV.match(item.password):
        source.complain((*where, "password"), f"a password stands in the plan: {todo}")
    for name, value in (item.headers or {}).items():
        if _SECRET_HEADER.search(name) and "${env." not in value:
            source.complain((*where, "headers", name), f"a secret stands in the plan: {todo}")


def _password(url: str) -> str:
    """Return the password of a URL, whatever stands in it; a variable's braces are no part of a host."""
    plain = url.replace("[", "(").replace("]", ")")
    try:
        return urlsplit(plain).password or ""
    except ValueError:
        return ""
