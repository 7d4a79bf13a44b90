"""Fill in what is only known at arming, such as `${lab.url}`. The plan's digest does not change.

A value is looked for in every text of the plan; inside JSON text it is escaped. `${run}` is left
for the probes, which know the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from gameday.errors import TargetAbsent
from gameday.plan.model import Plan

T = TypeVar("T")
_VALUE = re.compile(r"\$\{([a-zA-Z0-9_.-]+)\}")
_JSON_FIELDS = {"provider", "spec"}
_LATER = {"run"}
RUN_DIR = "gameday.run_dir"  # In the configuration of actions: the folder that the run's record is in.


def needed(plan: Plan) -> tuple[str, ...]:
    """Return the names of all values that the plan asks for, sorted.

    What only an undo by hand, a warning or the file's name holds is not needed: words for a person never keep
    a drill from starting.
    """
    found: set[str] = set()

    def note(text: str, _as_json: bool) -> str:
        found.update(_VALUE.findall(text))
        return text

    steps = tuple(replace(step, manual_command="") for step in plan.steps)
    _walk(replace(plan, steps=steps, warnings=(), source=""), note)
    return tuple(sorted(found - _LATER))


def bind(plan: Plan, values: Mapping[str, str]) -> Plan:
    """Return the plan with every value filled in.

    Raises:
        TargetAbsent: A value is not known.
    """
    missing = [name for name in needed(plan) if name not in values]
    if missing:
        raise TargetAbsent(
            f"the plan asks for ${{{missing[0]}}}, which is not known here",
            todo="Values that begin with `lab.` come from a lab that is up: `gameday lab up`.",
        )
    return _walk(plan, lambda text, as_json: fill(text, values, as_json=as_json))


def fill(text: str, values: Mapping[str, str], *, as_json: bool = False) -> str:
    """Return a text with each value filled in that is known; inside JSON text it is escaped."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]  # Known later, or named in an undo by hand alone.
        return json.dumps(values[match[1]])[1:-1] if as_json else values[match[1]]

    return _VALUE.sub(value, text)


def _walk(item: T, change: Any, *, as_json: bool = False) -> T:
    """Return a copy of a record in which every text has been passed through `change`."""
    if isinstance(item, str):
        return cast("T", change(item, as_json)) if "${" in item and type(item) is str else item
    if isinstance(item, tuple):
        return cast("T", tuple(_walk(part, change, as_json=as_json) for part in item))
    if is_dataclass(item) and not isinstance(item, type):
        changed = {
            field.name: _walk(getattr(item, field.name), change, as_json=field.name in _JSON_FIELDS)
            for field in fields(item)
        }
        return cast("T", replace(cast("Any", item), **changed))
    return item
