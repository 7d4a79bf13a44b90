"""Carry out one function of these actions by hand: what a stuck undo tells a person to type.

    python -m gameday.actions limits.lift name=gameday-cpu-limit

A key with a dot in it, such as `lab.state_file`, goes into the configuration. Exit 0 when it was
done, 1 when it failed, 2 when there is no such function.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args, get_type_hints

from gameday.actions.http import ActionError

USAGE = "usage: python -m gameday.actions MODULE.FUNCTION [KEY=VALUE]…\n"


def main(words: list[str]) -> int:
    """Carry it out and return the exit code."""
    module, _, name = (words[0] if words else "").rpartition(".")
    try:
        found = importlib.import_module(f"gameday.actions.{module}") if _is_module(module) else None
    except ImportError:
        found = None
    function = getattr(found, name, None) if found and name in getattr(found, "__all__", ()) else None
    if function is None or any("=" not in word for word in words[1:]):
        sys.stderr.write(USAGE)
        return 2
    given = {key: _value(text) for key, _, text in (word.partition("=") for word in words[1:])}
    configuration = {key: value for key, value in given.items() if "." in key}
    arguments: dict[str, object] = {key: value for key, value in given.items() if "." not in key}
    if "configuration" in inspect.signature(function).parameters:
        arguments["configuration"] = configuration
    try:
        inspect.signature(function).bind(**arguments)
        arguments = _typed(function, arguments)
        answer = function(**arguments)
    except (ActionError, TypeError) as error:
        sys.stderr.write(f"{words[0]}: {error}\n")
        return 1
    if answer is not None:
        sys.stdout.write(f"{answer}\n")
    return 0


def _is_module(module: str) -> bool:
    return bool(module) and all(part.isidentifier() for part in module.split("."))


def _typed(function: Callable[..., Any], given: dict[str, object]) -> dict[str, object]:
    """Return arguments as the function names their types: whole numbers, numbers, and true or false.

    Raises:
        ActionError: One is no such thing.
    """
    kinds = get_type_hints(function)
    return {key: _as(key, value, kinds.get(key)) for key, value in given.items()}


def _as(key: str, value: object, kind: Any) -> object:
    kinds = get_args(kind) or (kind,)  # `int | None` is written as a whole number, too.
    if not isinstance(value, str) or str in kinds:
        return value
    if bool in kinds and value.lower() in ("true", "false"):
        return value.lower() == "true"
    numbers = [number for number in (int, float) if number in kinds]
    for number in numbers:
        with suppress(ValueError):
            return number(value)
    if numbers:
        raise ActionError(f"{key}={value}: expected {'a number' if float in numbers else 'a whole number'}")
    return value


def _value(text: str) -> Any:
    """Return a text as it is, or an object or list where it is one in JSON: tags, states, words."""
    try:
        return json.loads(text) if text.startswith(('{"', '["', "[]")) else text
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
