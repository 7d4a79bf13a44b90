"""One action as lines to paste into a plan, with its undo filled in as far as anybody knows it."""

from __future__ import annotations

import json
from typing import Any

from gameday.hosts.extensions import Argument, Found, Offered
from gameday.plan.catalogue import Derived, derive, is_fault
from gameday.plan.foreign import Back, Way, way_back
from gameday.plan.model import NS, Activity

READ_BACK = "my_checks.is_in_place"
TAKE_BACK = "my_checks.take_back"
_SELECTORS = (
    "name", "label_selector", "ns", "instance_id", "instance_ids", "asg_names", "cluster", "tags",
)  # fmt: skip
_NO_TEXTS = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")  # YAML reads them as more.
_YOURS = {
    Way.SELF_HEALING: "yours: wait here until the system has mended it",
    Way.NONE: "yours: nothing known takes this back",
    Way.UNKNOWN: "yours: gameday does not know this extension",
}


def snippet(offered: Offered, found: Found) -> str:
    """Return what to write in a plan: a step under `steps:`, or a probe under `probes:`."""
    given = _given(offered)
    if offered.kind == "probe":
        return _probe(offered, given)
    activity = activity_of(offered.name, given)
    derived = derive(activity)
    back = way_back(offered.name)
    if derived is not None:
        return _derived(offered, given, derived, "fault" if is_fault(activity) else "failover")
    if back.way in (Way.UNDO, Way.STEP):
        return f"- failover: {_words(offered)}\n  do: {_action(offered.name, given)}\n"
    return _foreign(offered, given, back, found)


def activity_of(name: str, given: dict[str, Any]) -> Activity:
    """Return the activity that a short form in a plan means."""
    module, _, func = name.rpartition(".")
    provider = {"type": "python", "module": module, "func": func, "arguments": given}
    return Activity(name, json.dumps(provider), 10 * NS)


def _derived(offered: Offered, given: dict[str, Any], derived: Derived, form: str) -> str:
    lines = [f"- {form}: {_words(offered)}", f"  do: {_action(offered.name, given)}"]
    lines += ["  ttl: 2m"] if form == "fault" else []
    lines += [
        "  # gameday fills in the rest:",
        f"  #   undo: {_action(derived.undo, derived.undo_with)}",
        f"  #   in_place: {_action(derived.in_place, derived.in_place_with)}",
        f"  #   target: {derived.target}",
    ]
    return "\n".join(lines) + "\n"


def _foreign(offered: Offered, given: dict[str, Any], back: Back, found: Found) -> str:
    undo = f"{{action: {TAKE_BACK}}}  # {_YOURS.get(back.way, '')}"
    if back.undo:
        undo = _action(back.undo, _undo_with(given, back, found.get(back.undo)))
        undo += f"  # {', '.join(back.before)}: as it was before" if back.before else ""
    target = json.dumps(f"{offered.name.partition('.')[0]}:{next(iter(given.values()), 'any')}")
    lines = [
        f"- fault: {_words(offered)}",
        f"  do: {_action(offered.name, given)}",
        f"  undo: {undo}",
        f"  in_place: {{action: {READ_BACK}}}  # yours: true while the fault is there",
        f"  target: {target}",
        "  ttl: 2m",
    ]
    lines += [f"  # mind: {back.note}"] if back.note else []
    return "\n".join(lines) + "\n"


def _probe(offered: Offered, given: dict[str, Any]) -> str:
    key = offered.name.rpartition(".")[2].replace("_", "-")
    action = _action(offered.name, given)[1:-1]
    return f"{key}:\n  activity: {{{action}, tolerance: true}}\n  every: 1s\n  timeout: 800ms\n"


def _given(offered: Offered) -> dict[str, Any]:
    """Return an example of each argument that must be given, and of one selector at least."""
    given = {found.name: _example(found) for found in offered.arguments if found.default is None}
    if not given and not offered.name.startswith("gameday."):
        given = _selector(offered)
    return given


def _selector(offered: Offered) -> dict[str, Any]:
    wanted = next((found for name in _SELECTORS if (found := offered.argument(name))), None)
    return {wanted.name: _example(wanted)} if wanted else {}


def _undo_with(given: dict[str, Any], back: Back, undo: Offered | None) -> dict[str, Any]:
    if undo is None:
        return {}
    fixed = dict(back.fixed)
    made: dict[str, Any] = {}
    for found in undo.arguments:
        if found.name in fixed:
            made[found.name] = fixed[found.name]
        elif found.name in given and found.name not in back.before:
            made[found.name] = given[found.name]
        elif found.default is None or found.name in back.before:
            made[found.name] = _example(found)
    return made or _selector(undo)


def _example(found: Argument) -> Any:
    kind = found.type.removeprefix("Optional[").removeprefix("Union[").lower()
    if kind.startswith(("list", "tuple", "typing.list", "collection", "sequence")):
        return [found.name.upper()]
    if kind.startswith(("dict", "mapping", "typing.dict")):
        return {}
    plain: dict[str, Any] = {"bool": False, "int": 1, "float": 1.0}
    return next((value for name, value in plain.items() if kind.startswith(name)), found.name.upper())


def _words(offered: Offered) -> str:
    return offered.name.rpartition(".")[2].replace("_", " ")


def _action(name: str, given: dict[str, Any]) -> str:
    if not given:
        return f"{{action: {name}}}"
    return f"{{action: {name}, with: {_flow(given)}}}"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and value.replace("_", "").isalpha() and value.lower() not in _NO_TEXTS:
        return value
    return json.dumps(value)
