"""What gameday knows of its own actions: how each is undone, read back, by hand too, what it survives.

Data only. A plan may always say otherwise; for an action that does not stand here it must.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gameday.plan.awsinverses import AWS_INVERSES
from gameday.plan.inverse import ACTIONS, LAB_POST, Inverse
from gameday.plan.kubesystems import KUBE_INVERSES
from gameday.plan.labsystems import LAB_INVERSES
from gameday.plan.model import NS, Activity

_WORKER = (
    "Runner killed: the watchdog undoes it within seconds; watchdog killed too: it ends by itself "
    "after its ttl. Host lost: it is lost with it."
)
_TIMER = (
    "Runner killed: the watchdog undoes it within seconds; watchdog killed too: a timer beside it "
    "takes it back after its ttl. Host lost: the kernel forgets it."
)
_FILE = (
    "Runner killed: the watchdog undoes it within seconds; watchdog killed too: a timer beside it "
    "takes it back after its ttl. Host lost: the line stays in the file until it is undone by hand."
)
_PROXY = (
    "Runner killed: the watchdog undoes it within seconds. Host lost: it stays in the proxy, until "
    "`gameday recover` or the proxy's own end."
)
_BY_SUPERVISOR = (
    "Runner killed: the watchdog starts it again. Host lost: it stays down until somebody starts it."
)
_PKILL = "pkill -KILL -f 'gameday-fault {name}$'"
_LAB_FILE = " lab.state_file=${lab.state_file}"
LAB_API = "${lab.toxiproxy}"
NATIVE_SPARE_S = 2
TTL = "ttl_s"


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from an action and its arguments."""

    undo: str
    undo_with: dict[str, Any]
    in_place: str
    in_place_with: dict[str, Any]
    target: str
    survives: str
    manual: str


def _node(undo: str, in_place: str, *, by_steps: bool = False) -> Inverse:
    manual = f"{LAB_POST}/nodes/{{node}}/{undo} -d '{{}}'"
    name = f"{ACTIONS}.postgres."
    return Inverse(name + undo, name + in_place, ("node",), "node:{node}", manual=manual, by_steps=by_steps)


def _toxic(name: str = "") -> Inverse:
    return Inverse(
        f"{ACTIONS}.network.remove_toxic",
        f"{ACTIONS}.network.has_toxic",
        ("proxy", "name", "api"),
        "proxy:{proxy}",
        _PROXY,
        defaults=(("name", name),) if name else (),
        manual="curl -fsS -X DELETE {api}/proxies/{proxy}/toxics/{name}",
    )


def _worker(module: str, undo: str, in_place: str, name: str, target: str) -> Inverse:
    """A fault that is a process: killing what carries its name undoes it."""
    return Inverse(
        f"{ACTIONS}.{module}.{undo}",
        f"{ACTIONS}.{module}.{in_place}",
        ("name",),
        target,
        _WORKER,
        defaults=(("name", name),),
        manual=_PKILL,
        has_ttl=True,
    )


def _pressure(name: str, target: str) -> Inverse:
    return _worker("pressure", "end", "in_place", f"gameday-{name}", target)


def _limit(name: str) -> Inverse:
    return Inverse(
        f"{ACTIONS}.limits.lift",
        f"{ACTIONS}.limits.is_limited",
        ("name",),
        "cgroup:{group}",
        _TIMER,
        defaults=(("name", name),),
        manual="python -m gameday.actions limits.lift name={name}",
        has_ttl=True,
    )


_SHAPE = Inverse(
    f"{ACTIONS}.kernelnet.unshape",
    f"{ACTIONS}.kernelnet.is_shaped",
    ("device", "namespace"),
    "device:{device}",
    _TIMER,
    defaults=(("namespace", ""),),
    manual="python -m gameday.actions kernelnet.unshape device={device} namespace={namespace}",
    has_ttl=True,
)

INVERSES: dict[str, Inverse] = {
    f"{ACTIONS}.postgres.kill": _node("start", "is_down"),
    f"{ACTIONS}.postgres.stop": _node("start", "is_down"),
    f"{ACTIONS}.postgres.fence": _node("unfence", "is_fenced", by_steps=True),
    f"{ACTIONS}.postgres.exhaust_connections": _worker(
        "postgres", "free_connections", "is_exhausted", "gameday-pg-connections", "node:{node}"
    ),
    f"{ACTIONS}.postgres.lock_table": replace(
        _worker("postgres", "unlock_table", "is_locked", "gameday-pg-lock", "node:{node}"),
        keep=("name", "node", "dsn_env"),
    ),
    f"{ACTIONS}.postgres.pause_replay": Inverse(
        f"{ACTIONS}.postgres.resume_replay",
        f"{ACTIONS}.postgres.is_replay_paused",
        ("node", "dsn_env"),
        "node:{node}",
        manual="python -m gameday.actions postgres.resume_replay node={node} dsn_env={dsn_env}" + _LAB_FILE,
        defaults=(("dsn_env", ""),),
    ),
    f"{ACTIONS}.network.cut": Inverse(
        f"{ACTIONS}.network.restore",
        f"{ACTIONS}.network.is_cut",
        ("proxy", "api"),
        "proxy:{proxy}",
        _PROXY,
        manual="curl -fsS {api}/proxies/{proxy} -d '{\"enabled\": true}'",
    ),
    f"{ACTIONS}.network.partition": Inverse(
        f"{ACTIONS}.network.heal",
        f"{ACTIONS}.network.is_partitioned",
        ("proxies", "api"),
        "proxy:{proxies}",
        _PROXY,
        manual="for p in {proxies}; do curl -fsS {api}/proxies/$p -d '{\"enabled\": true}'; done",
    ),
    f"{ACTIONS}.network.add_latency": _toxic("gameday-latency"),
    f"{ACTIONS}.network.add_stall": _toxic("gameday-stall"),
    f"{ACTIONS}.network.limit_bandwidth": _toxic("gameday-bandwidth"),
    f"{ACTIONS}.network.reset_connections": _toxic("gameday-reset"),
    f"{ACTIONS}.network.lose_connections": _toxic("gameday-loss"),
    f"{ACTIONS}.network.fail_requests": _toxic("gameday-http-error"),
    f"{ACTIONS}.network.add_toxic": _toxic(),
    f"{ACTIONS}.lab.set_replication": Inverse(
        f"{ACTIONS}.lab.set_replication",
        f"{ACTIONS}.lab.is_synchronous",
        (),
        "lab:replication",
        defaults=(("mode", "async"),),
        manual=f'{LAB_POST}/replication -d \'{{"mode": "async"}}\'',
        by_steps=True,
    ),
    f"{ACTIONS}.process.kill": Inverse(
        f"{ACTIONS}.process.start",
        f"{ACTIONS}.process.is_gone",
        ("match",),
        "process:{match}",
        _BY_SUPERVISOR,
        undo_keep=("start", "cwd"),
        manual="cd {cwd} && {start}",
        defaults=(("cwd", "/"),),
    ),
    f"{ACTIONS}.process.restart": Inverse(
        f"{ACTIONS}.process.start",
        f"{ACTIONS}.process.is_gone",
        ("match",),
        "process:{match}",
        _BY_SUPERVISOR,
        undo_keep=("start", "cwd"),
        manual="cd {cwd} && {start}",
        defaults=(("cwd", "/"),),
        by_steps=True,
    ),
    f"{ACTIONS}.process.stop": Inverse(
        f"{ACTIONS}.process.resume",
        f"{ACTIONS}.process.is_stopped",
        ("match",),
        "process:{match}",
        _TIMER,
        undo_keep=("name",),
        manual="pkill -CONT -f {match}",
        defaults=(("name", "gameday-stop"),),
        has_ttl=True,
    ),
    f"{ACTIONS}.pressure.cpu": _pressure("cpu", "machine:cpu"),
    f"{ACTIONS}.pressure.memory": _pressure("memory", "machine:memory"),
    f"{ACTIONS}.pressure.disk_fill": _pressure("disk-fill", "folder:{folder}"),
    f"{ACTIONS}.pressure.slow_disk": _pressure("slow-disk", "folder:{folder}"),
    f"{ACTIONS}.pressure.ports": _pressure("ports", "machine:ports"),
    f"{ACTIONS}.pressure.connections": _pressure("connections", "server:{host}:{port}"),
    f"{ACTIONS}.pressure.file_descriptors": Inverse(
        f"{ACTIONS}.pressure.restore_descriptors",
        f"{ACTIONS}.pressure.is_short_of_descriptors",
        ("name",),
        "process:{match}",
        _TIMER,
        defaults=(("name", "gameday-descriptors"),),
        manual="python -m gameday.actions pressure.restore_descriptors name={name}",
        has_ttl=True,
    ),
    f"{ACTIONS}.limits.cpu": _limit("gameday-cpu-limit"),
    f"{ACTIONS}.limits.disk": _limit("gameday-disk-limit"),
    f"{ACTIONS}.kernelnet.shape": _SHAPE,
    f"{ACTIONS}.kernelnet.rate": _SHAPE,
    f"{ACTIONS}.kernelnet.drop": Inverse(
        f"{ACTIONS}.kernelnet.remove_rules",
        f"{ACTIONS}.kernelnet.has_rules",
        ("name", "namespace"),
        "network:{address}:{port}",
        _TIMER,
        defaults=(("name", "gameday-drop"), ("namespace", "")),
        manual="python -m gameday.actions kernelnet.remove_rules name={name} namespace={namespace}",
        has_ttl=True,
    ),
    f"{ACTIONS}.dns.answer_wrongly": Inverse(
        f"{ACTIONS}.dns.restore_answers",
        f"{ACTIONS}.dns.answers_wrongly",
        ("hosts_file", "name"),
        "file:{hosts_file}",
        _FILE,
        undo_keep=("pid_file",),
        defaults=(("name", "gameday-dns"), ("pid_file", "")),
        manual="python -m gameday.actions dns.restore_answers hosts_file={hosts_file} pid_file={pid_file} "
        "name={name}",
        has_ttl=True,
    ),
    f"{ACTIONS}.clock.start": _worker("clock", "end", "in_place", "gameday-clock", "process:{name}"),
    f"{ACTIONS}.clock.skew": Inverse(
        f"{ACTIONS}.clock.unskew",
        f"{ACTIONS}.clock.is_skewed",
        ("file",),
        "file:{file}",
        _FILE,
        undo_keep=("name",),
        defaults=(("name", "gameday-clock-skew"),),
        manual="echo +0 > {file}",
        has_ttl=True,
    ),
    **AWS_INVERSES,
    **LAB_INVERSES,
    **KUBE_INVERSES,
}


def action_of(activity: Activity) -> tuple[str, dict[str, Any]]:
    """Return the dotted name of a Python activity's function, and its arguments."""
    given = json.loads(activity.provider)
    arguments = given.get("arguments")
    return f"{given.get('module')}.{given.get('func')}", dict(arguments) if isinstance(
        arguments, dict
    ) else {}


def is_fault(activity: Activity) -> bool:
    """Tell whether an action is known to put a fault in, whatever kind of step it is written as."""
    inverse = INVERSES.get(action_of(activity)[0])
    return inverse is not None and not inverse.by_steps


def is_known(activity: Activity) -> bool:
    """Tell whether what an action does is known here: it is one of gameday's own."""
    return action_of(activity)[0].startswith(f"{ACTIONS}.")


def has_native_ttl(activity: Activity) -> bool:
    """Tell whether a fault ends by itself, whoever is dead by then."""
    inverse = INVERSES.get(action_of(activity)[0])
    return inverse is not None and inverse.has_ttl


def with_ttl(activity: Activity, ttl_ns: int | None) -> Activity:
    """Return the action with the plan's ttl handed to it, where it can end by itself.

    The engine's own timer comes first, by two seconds: an undo that is recorded is better than one
    that just happens.
    """
    _, arguments = action_of(activity)
    if ttl_ns is None or TTL in arguments or not has_native_ttl(activity):
        return activity
    given = json.loads(activity.provider)
    given["arguments"] = arguments | {TTL: -(-ttl_ns // NS) + NATIVE_SPARE_S}
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return replace(activity, provider=text)


def derive(activity: Activity, *, by_step: bool = False) -> Derived | None:
    """Return the undo, read-back and words that follow from an action; None when nothing is known.

    Args:
        activity: The action, with its arguments.
        by_step: It is a fail-over step or a change that names no undo: only some owe one then.
    """
    action, arguments = action_of(activity)
    inverse = INVERSES.get(action)
    if inverse is None or (by_step and not inverse.by_steps):
        return None
    values = {**dict(inverse.defaults), **arguments}
    kept = {key: values[key] for key in inverse.keep if key in values}
    alone = {key: values[key] for key in inverse.undo_keep if key in values}
    named = {*inverse.keep, *inverse.undo_keep}
    fixed = {key: value for key, value in inverse.defaults if key not in named}
    return Derived(
        undo=inverse.undo,
        undo_with={**kept, **alone, **fixed},
        in_place=inverse.in_place,
        in_place_with=kept,
        target=_target(inverse, values),
        survives=inverse.survives,
        manual=_manual(inverse, values),
    )


def _target(inverse: Inverse, values: Mapping[str, Any]) -> str:
    """Name what is really touched: a server by its variable, a proxy of another Toxiproxy by its URL."""
    api = str(values.get("api") or LAB_API)
    if inverse.target.startswith("node:") and values.get("dsn_env"):
        return f"server:{values['dsn_env']}"
    if inverse.target.startswith("proxy:") and api != LAB_API:
        names = values.get("proxies", values.get("proxy", "any"))
        listed = names if isinstance(names, list | tuple) else [names]
        return "proxy:" + ",".join(f"{api.rstrip('/')}/{name}" for name in listed)
    return _fill(inverse.target, values, quote=False)


def _manual(inverse: Inverse, values: Mapping[str, Any]) -> str:
    if "{start}" in inverse.manual and not values.get("start"):
        return _fill("start again what matches {match}", values, quote=True)
    template = inverse.manual.replace(_LAB_FILE, "") if values.get("dsn_env") else inverse.manual
    return _fill(template, {"api": LAB_API, **values}, quote=True)


def _fill(template: str, values: Mapping[str, Any], *, quote: bool) -> str:
    """Return the template with its values filled in, `quote`d for a shell where they need it.

    `{key}` is a list's words, `{key!j}` the list in JSON, as `python -m gameday.actions` takes it.
    """

    def text(match: re.Match[str]) -> str:
        if match[2]:
            return shlex.quote(json.dumps(values.get(match[1]) or []))
        value = values.get(match[1], "" if quote else "any")
        if isinstance(value, dict):
            pairs = ",".join(f"{key}={item}" for key, item in sorted(value.items()))
            return shlex.quote(json.dumps(value, sort_keys=True)) if quote else pairs
        if isinstance(value, list | tuple):
            return shlex.join(map(str, value)) if quote else ",".join(map(str, value))
        return _quoted(str(value)) if quote else str(value)

    return re.sub(r"\{(\w+)(!j)?\}", text, template)


def _quoted(text: str) -> str:
    return text if not text or "${" in text else shlex.quote(text)
