"""Malformed and hostile files: made from the shipped ones, and by hand.

A `Border` is one kind of file that people write: how to make a project with a good one in it, how to
read it, and which of its mappings are free in their keys. Another kind of file is one more entry in
`BORDERS`; every general mutation then runs over it too.
"""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gameday.plan.load import load_plan
from gameday.plan.policyfile import load_policy

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("experiments", "loadprofiles", "runbooks")
WRONG = (
    {"a": {"b": 1}},
    [[["x"]]],
    -1,
    10**400,
    1e308,
    True,
    "\x00",
    "x" * 70_000,
    "",
    None,
    "${",
    "10 s 5",
    "-5s",
)
Where = tuple[str | int, ...]


def make_project(folder: Path) -> Path:
    """The shipped drills, in a folder where breaking them harms nobody."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in POLICY.files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    return folder


@dataclass(frozen=True)
class Border:
    """One kind of file that people write.

    `read` takes the path and either returns or raises PlanError; `free` names the keys under which
    any key may stand, `needed` the paths without which no such file is sound.
    """

    name: str
    files: tuple[str, ...]
    read: Callable[[Path], Any]
    free: frozenset[str]
    needed: tuple[Where, ...]
    strict: frozenset[str] = field(default=frozenset())

    def data(self, file: str) -> Any:
        return yaml.safe_load((ROOT / file).read_text())


PLAN = Border(
    name="plan",
    files=tuple(f"experiments/{name}.yaml" for name in ("primary-loss", "latency", "replication-lag")),
    read=load_plan,
    free=frozenset({"with", "arguments", "body", "headers", "roles", "scenario", "population", "excluded", "select"}),
    needed=(
        ("title",), ("kind",), ("service",), ("target",), ("target", "environment"), ("target", "identity"),
        ("probes",), ("probes", "place-order", "every"), ("probes", "place-order", "timeout"),
        ("probes", "place-order", "http"), ("steady_state",), ("steady_state", "baseline"), ("stop_conditions",),
        ("blast_radius",), ("blast_radius", "duration"), ("steps",), ("steps", 0, "do"), ("steps", 0, "ttl"),
    ),
)  # fmt: skip
POLICY = Border(
    name="policy",
    files=("tests/plan/whole-policy.yaml", "policy.yaml"),
    read=load_policy,
    free=frozenset(),
    needed=(
        ("environments",),
        *(("waivers", 0, key) for key in ("rule", "reason", "by", "until")),
        *(("blackouts", 0, key) for key in ("from", "to", "reason")),
        *((*where, "windows", 0, key) for where in ((), ("environments", "staging")) for key in ("days", "hours")),
        ("approvals", 0, "roles"),
    ),
)  # fmt: skip
BORDERS = (PLAN, POLICY)


# --- mutations of data -----------------------------------------------------------------------


def places(data: Any, free: frozenset[str], where: Where = ()) -> Iterator[tuple[Where, Any]]:
    """Every path and what stands there, leaving out what is free in its keys."""
    yield where, data
    if isinstance(data, dict):
        for key, value in data.items():
            if key not in free:
                yield from places(value, free, (*where, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from places(value, free, (*where, number))


def put(data: Any, where: Where, value: Any) -> Any:
    """A copy of the data with something else at a path."""
    if not where:
        return value
    fresh = copy.deepcopy(data)
    inner = fresh
    for part in where[:-1]:
        inner = inner[part]
    inner[where[-1]] = value
    return fresh


def drop(data: Any, where: Where) -> Any:
    """A copy of the data without what stands at a path."""
    fresh = copy.deepcopy(data)
    inner = fresh
    for part in where[:-1]:
        inner = inner[part]
    del inner[where[-1]]
    return fresh


def must_refuse(border: Border, file: str) -> Iterator[tuple[str, str]]:
    """Mutations after which the file cannot be sound: a name and the text of each."""
    data = border.data(file)
    for where, value in places(data, border.free):
        shown = ".".join(map(str, where)) or "(whole)"
        if (
            isinstance(value, dict)
            and not border.strict & set(where)
            and where[-1:] not in (("probes",), ("slos",))
        ):
            yield f"unknown key in {shown}", dump(put(data, (*where, "surprise"), 1))
        if not isinstance(value, dict | list) and where[-1:] != ("expect",):
            yield f"a mapping for {shown}", dump(put(data, where, {"a": {"b": [1]}}))
            yield f"a list for {shown}", dump(put(data, where, [[["x"]]]))
        elif where:
            yield f"a number for {shown}", dump(put(data, where, 10**40))
    for where in border.needed:
        try:
            yield f"without {'.'.join(map(str, where))}", dump(drop(data, where))
        except (KeyError, IndexError, TypeError):
            continue


def anything(border: Border, file: str, seed: int) -> str:
    """One to four random mutations; the file may or may not be sound afterwards."""
    rng = random.Random(seed)
    data = border.data(file)
    for _ in range(rng.randint(1, 4)):
        where, value = rng.choice(list(places(data, frozenset())))
        match rng.randrange(4):
            case 0 if where:
                data = drop(data, where)
            case 1 if isinstance(value, dict):
                data = put(
                    data,
                    (*where, rng.choice(["x", "undo", "for", "silence", "\x01", "${lab.url}"])),
                    rng.choice(WRONG),
                )
            case 2 if isinstance(value, list) and value:
                data = put(data, where, [*value, *value])
            case _:
                data = put(data, where, rng.choice(WRONG)) if where else data
    return dump(data)


def dump(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def garbled(raw: bytes, seed: int) -> bytes:
    """The bytes of a file after one to eight wounds."""
    rng = random.Random(seed)
    data = bytearray(raw)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at:at] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(40)]
            case 2:
                data[at:at] = rng.choice(
                    [
                        b"!!python/object/apply:os.system ['true']",
                        b"&a [*a]",
                        b"*b",
                        b"<<: ",
                        b"\x00",
                        b"\xff\xfe",
                        b"\xef\xbb\xbf",
                        b"---\n",
                        b"...",
                        b"%YAML 9.9\n",
                        b"\t",
                        b"[" * 60,
                        b"{" * 60,
                        b"? ",
                        b"- - - ",
                        b"'",
                        b'"\\ud800"',
                        b"|\n",
                        b"0x",
                        b"1_000",
                        b".inf",
                        b".nan",
                        b"2001-01-01",
                        b"!!binary ",
                        b"\xc2\x85",
                    ]
                )
            case 3:
                end = at + rng.randrange(200)
                data[at:at] = data[at:end]
            case _:
                if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)
    return bytes(data)  # fmt: skip


# --- by hand ---------------------------------------------------------------------------------


def by_hand(good: str) -> dict[str, bytes]:
    """What people and attackers come up with, from the text of a good plan."""
    deep = "a: " + "[" * 5000 + "]" * 5000
    laughs = "\n".join(
        ["a0: &a0 [x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    )
    fault = "do: {action: gameday.actions.postgres.kill, with: {node: a}}"
    book = "runbook: runbooks/promote-standby.yaml"
    texts = {
        "empty": "",
        "only a comment": "# nothing\n",
        "a scalar": "hello",
        "a list": "- title: x",
        "null": "~",
        "two documents": good + "\n---\n" + good,
        "deep": deep,
        "deep mappings": "\n".join(" " * n + f"k{n}:" for n in range(300)),
        "billion laughs": laughs,
        "an alias of itself": "a: &a [*a]",
        "a merge key": good + "\n<<: {title: y}\n",
        "a duplicate key": good + "\ntitle: again\n",
        "a key that is a list": good + "\n? [a, b]\n: c\n",
        "a key that is a number": good + "\n1: c\n",
        "python object": good.replace("title: ", "title: !!python/object/apply:os.system ['touch pwned'] #", 1),
        "python name": good.replace("title: ", "title: !!python/name:os.system #", 1),
        "python module": good.replace("service: orders", "service: !!python/module:antigravity x", 1),
        "binary tag": good.replace("service: orders", "service: !!binary aGVsbG8=", 1),
        "set tag": good.replace("service: orders", "service: !!set {a, b}", 1),
        "own tag": good.replace("service: orders", "service: !vault secret", 1),
        "unclosed quote": good.replace("title: ", 'title: "', 1),
        "unclosed brace": good.replace("{", "{{{", 1),
        "tabs": good.replace("\n  ", "\n\t"),
        "a directive": "%YAML 9.9\n---\n" + good,
        "bad escape": good.replace("title: ", 'title: "\\q" #', 1),
        "half a surrogate pair": good.replace("title: ", 'title: "\\ud800" #', 1),
        "unit missing": good.replace("every: 100ms", "every: 100"),
        "unit unknown": good.replace("every: 100ms", "every: 100 fortnights"),
        "unit in capitals": good.replace("every: 100ms", "every: 100MS"),
        "no time at all": good.replace("every: 100ms", "every: 0ms"),
        "negative time": good.replace("every: 100ms", "every: -100ms"),
        "a huge time": good.replace("every: 100ms", "every: " + "9" * 5000 + "s"),
        "many digits after the point": good.replace("every: 100ms", "every: 0." + "0" * 5000 + "1s"),
        "other digits": good.replace("every: 100ms", "every: ١٠٠ms"),
        "sexagesimal": good.replace("every: 100ms", "every: 1:30"),
        "infinite": good.replace("every: 100ms", "every: .inf"),
        "over a hundred per cent": good.replace("objective: 95%", "objective: 195%"),
        "a share without its sign": good.replace("objective: 95%", "objective: 0.95"),
        "a huge rate": good.replace("rate: 50/s", "rate: 9999999999999/s"),
        "rate and users": good.replace("rate: 50/s", "rate: 50/s, users: 5"),
        "neither rate nor users": good.replace("rate: 50/s, ", ""),
        "huge users": good.replace("rate: 50/s", "users: 999999999999999999999"),
        "a number as title": good.replace("title: ", "title: 7 #", 1),
        "a word for truth": good.replace("severe_but_plausible: true", "severe_but_plausible: [1]"),
        "a profile outside": good.replace("loadprofiles/orders.py", "../../../../etc/passwd"),
        "a profile by its whole path": good.replace("loadprofiles/orders.py", "/etc/passwd"),
        "a profile that is a folder": good.replace("loadprofiles/orders.py", "loadprofiles"),
        "a profile that is not there": good.replace("loadprofiles/orders.py", "loadprofiles/none.py"),
        "a profile with NUL": good.replace("loadprofiles/orders.py", '"loadprofiles/a\\0b"'),
        "a profile with a long name": good.replace("loadprofiles/orders.py", "x" * 5000),
        "a profile that is a link": good.replace("loadprofiles/orders.py", "loadprofiles/link.py"),
        "a profile behind a link": good.replace("loadprofiles/orders.py", "linked/orders.py"),
        "a profile that is a pipe": good.replace("loadprofiles/orders.py", "loadprofiles/pipe.py"),
        "an enormous profile": good.replace("loadprofiles/orders.py", "loadprofiles/huge.py"),
        "a runbook outside": good.replace(book, "runbook: ../secret.yaml"),
        "a runbook that is a plan": good.replace(book, "runbook: experiments/primary-loss.yaml"),
        "a runbook that is not there": good.replace(book, "runbook: runbooks/none.yaml"),
        "a runbook that calls itself": good.replace(book, "runbook: runbooks/loop.yaml"),
        "a runbook of a cycle": good.replace(book, "runbook: runbooks/one.yaml"),
        "a runbook with NUL": good.replace(book, 'runbook: "a\\0b"'),
        "an enormous runbook": good.replace(book, "runbook: loadprofiles/huge.py"),
        "a runbook that is no text": good.replace(book, "runbook: runbooks/noise.yaml"),
        "an action that is no name": good.replace("action: gameday.actions.postgres.kill", "action: 'os.system(1)'"),
        "an action without a module": good.replace("action: gameday.actions.postgres.kill", "action: kill"),
        "an action from nowhere": good.replace("action: gameday.actions.postgres.kill", "action: antigravity.fly"),
        "two ways of one action": good.replace(fault, fault[:-1] + ", provider: {type: python}}"),
        "a provider of no kind": good.replace(fault, "do: {provider: {type: shell, path: rm}}"),
        "a provider without a type": good.replace(fault, "do: {provider: {path: rm}}"),
        "a fault without a ttl": good.replace("    ttl: 2m", "    # ttl"),
        "a ttl beyond the blast radius": good.replace("ttl: 2m", "ttl: 9h"),
        "a for beyond the ttl": good.replace("ttl: 2m", "ttl: 2m\n    for: 4m"),
        "no blast at all": good.replace("max: 1 of 2", "max: none of 2"),
        "nothing of nothing": good.replace("max: 1 of 2", "max: 0 of 0"),
        "a condition of nothing": good.replace("- {silence: 2s, then: halt}", "- {then: halt}"),
        "a condition on what is not there": good.replace("{slo: availability, bad", "{slo: nothing, bad"),
        "a condition in other words": good.replace("bad: above 90%", "bad: lots"),
        "a condition of no sample": good.replace("bad: above 90%", "bad: above 900%"),
        "then nothing": good.replace("then: halt", "then: shrug"),
        "probe of two kinds": good.replace("every: 500ms", "tcp: {host: x, port: 1}, every: 500ms"),
        "a port too far": good.replace("http: {url: \"${lab.url}/payments/health\"}", "tcp: {host: x, port: 65536}"),
        "no argv": good.replace("http: {url: \"${lab.url}/payments/health\"}", "process: {argv: []}"),
        "a shell line": good.replace("http: {url: \"${lab.url}/payments/health\"}", "process: {argv: rm -rf x}"),
        "undo of what nobody owes": good.replace("- hold: 6s", '- undo: "node:z"'),
        "a manual step without an end": good.replace("- hold: 6s", "- manual: push it"),
        "nothing in parallel": good.replace("- hold: 6s", "- parallel: []"),
        "parallel in parallel": good.replace("- hold: 6s", "- parallel: [{parallel: [{hold: 1s}]}]"),
        "an unknown load": good.replace("- hold: 6s", "- load: none\n    rate: 5/s"),
        "a step of two kinds": good.replace("- hold: 6s", "- hold: 6s\n    fault: x"),
        "a step that is a word": good.replace("- hold: 6s", "- hold"),
        "an empty step": good.replace("- hold: 6s", "- {}"),
        "five thousand unknown keys": good + "\n" + "".join(f"k{n}: 1\n" for n in range(5_000)),
        "a key five thousand times": good + "\n" + "title: 1\n" * 5_000,
        "five thousand steps": good.replace("- hold: 6s", "- hold: 6s\n" + "  - hold: 6s\n" * 5_000, 1),
        "five thousand wrong steps": good.replace("- hold: 6s", "- hold: 6s\n" + "  - hold: 6\n" * 5_000, 1),
        "four hundred runbooks": good.replace("- hold: 6s", "- hold: 6s\n" + f"  - {book}\n" * 400, 1),
        "a huge number in a row": good.replace("bad: 3 in a row", f"bad: {'9' * 5000} in a row"),
        "an experiment without a description": '{"title": "x", "method": []}',
        "a JSON that breaks off": '{"title": "x", ',
    }  # fmt: skip
    found = {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
    return found | {
        "not UTF-8": good.encode().replace(b"title: ", b"title: \xff\xfe", 1),
        "UTF-16": good.encode("utf-16"),
        "latin-1": good.replace("title: ", "title: é ", 1).encode("latin-1"),
        "NUL bytes": good.encode().replace(b"title", b"ti\x00tle", 1),
        "only NULs": bytes(10_000),
        "a bell": good.encode().replace(b"title: ", b"title: \x07", 1),
        "too large": good.encode() + b"#" * (2 << 20),
        "noise": random.Random(1).randbytes(5000),
    }


def policies_by_hand(good: str) -> dict[str, bytes]:
    """Policies that people and attackers come up with: each would allow something by mistake or by malice."""
    lab = "environments: {lab: {}}\n"
    texts = {
        "nothing": "",
        "a list": "- environments\n",
        "no environments": "environments: {}\n",
        "python object": "environments: !!python/object/apply:os.system ['touch pwned']\n",
        "a python module": lab + "modules: !!python/module:antigravity\n",
        "billion laughs": "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + lab,
        "itself": "environments: &e {lab: *e}\n",
        "deep": "environments: " + "[" * 5000 + "]" * 5000 + "\n",
        "the same key twice": lab + "ttl: 5m\nttl: 500h\n",
        "two documents": lab + "---\n" + lab,
        "a merge key": "x: &x {modules: ['*']}\nenvironments: {production: {<<: *x}}\n",
        "a module that is a path": lab + "modules: ['../evil']\n",
        "a module with a space": lab + "modules: ['gameday.actions evil']\n",
        "a module with a star inside": lab + "modules: ['game*.actions']\n",
        "a module with a line end": lab + 'modules: ["os\\n"]\n',
        "a provider that is a shell": lab + "providers: [shell]\n",
        "a ttl without a unit": lab + "ttl: 5\n",
        "a negative ttl": lab + "ttl: -5m\n",
        "a ttl that is not a number": lab + "ttl: .nan\n",
        "a share of more than all": lab + "targets: 101%\n",
        "none of two": lab + "targets: 0 of 2\n",
        "three of two": lab + "targets: 3 of 2\n",
        "nobody approves": lab + "approvals: [{roles: [], number: 1}]\n",
        "zero approvers": lab + "approvals: [{roles: [lead], number: 0}]\n",
        "a window without days": lab + "windows: [{days: [], hours: 09:00-10:00}]\n",
        "a day that does not exist": lab + "windows: [{days: [someday], hours: 09:00-10:00}]\n",
        "hours that do not exist": lab + "windows: [{days: [mon], hours: 25:00-26:00}]\n",
        "a blackout backwards": lab + "blackouts: [{from: 2027-01-02, to: 2027-01-01, reason: x}]\n",
        "a date that does not exist": lab + "blackouts: [{from: 2027-02-30, to: 2027-03-01, reason: x}]\n",
        "a waiver for ever": lab + "waivers: [{rule: ttl, reason: x, by: y, until: never}]\n",
        "a waiver of what cannot be waived": lab
        + "waivers: [{rule: modules, reason: x, by: y, until: 2027-01-01}]\n",
        "a waiver by nobody": lab + "waivers: [{rule: ttl, reason: x, by: '', until: 2027-01-01}]\n",
        "a waiver elsewhere": lab
        + "waivers: [{rule: ttl, environment: prod, reason: x, by: y, until: 2027-01-01}]\n",
        "a zone that is a path": lab + "time_zone: ../../etc/passwd\n",
        "a lever with a password": lab + "levers: ['https://u:p@x.test/lever']\n",
        "a lever by ftp": lab + "levers: ['ftp://x.test/lever']\n",
        "a lever of a file URL": lab + "levers: ['file:///etc/passwd']\n",
        "a hundred levers": lab + f"levers: [{', '.join(['/x'] * 100)}]\n",
        "leases here": lab + "leases: somewhere\n",
        "leases for no time": lab + "leases: /x\nlease_expires: 1ms\n",
        "a key of another case": lab + "Protect: ['node:*']\n",
    }
    found = {name: text.encode() for name, text in texts.items()}
    return found | {
        "UTF-16": good.encode("utf-16"),
        "NUL bytes": good.encode().replace(b"ttl", b"t\x00tl", 1),
        "too large": good.encode() + b"#" * (2 << 20),
        "noise": random.Random(4).randbytes(5000),
    }


def traps(project: Path) -> None:
    """Put into a project what the plans by hand refer to."""
    outside = project.parent / "secret.yaml"
    outside.write_text("title: secret\nsteps: [{hold: 1s}]\n")
    (project / "loadprofiles" / "link.py").symlink_to("/etc/passwd")
    (project / "linked").symlink_to(project / "loadprofiles")
    (project / "runbooks" / "noise.yaml").write_bytes(random.Random(2).randbytes(999))
    (project / "runbooks" / "loop.yaml").write_text("title: loop\nsteps: [{runbook: runbooks/loop.yaml}]\n")
    (project / "runbooks" / "one.yaml").write_text("title: one\nsteps: [{runbook: runbooks/two.yaml}]\n")
    (project / "runbooks" / "two.yaml").write_text("title: two\nsteps: [{runbook: runbooks/one.yaml}]\n")
    import os

    os.mkfifo(project / "loadprofiles" / "pipe.py")
    with (project / "loadprofiles" / "huge.py").open("wb") as file:
        file.truncate(1 << 40)  # A terabyte of nothing, which takes no room.
