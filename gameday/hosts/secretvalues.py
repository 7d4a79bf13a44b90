"""Which values are secret: what a plan takes from the environment, and what looks so by its name there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from gameday.errors import TargetAbsent
from gameday.history.redact import Redactor
from gameday.plan.bind import needed
from gameday.plan.model import Plan

ENV = "env."
LENGTH_MIN = 6
_NAME = re.compile(r"PASSW|TOKEN|SECRET|CREDENTIAL|_KEY$|APIKEY", re.IGNORECASE)
_NO_VALUE = re.compile(r"_(FILE|PATH|DIR|NAME|ENV)$|\AGAMEDAY_KEY\Z", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?i)\b(?:password|passwd|token|secret|api_?key)\s*=\s*'?([^\s;&']+)")


def from_environment(plan: Plan, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return each `${env.NAME}` that a plan asks for. They are secret: no record ever holds them.

    Raises:
        TargetAbsent: The environment has no such variable.
    """
    variables = os.environ if environment is None else environment
    found = {}
    for name in needed(plan):
        if name.startswith(ENV):
            variable = name.removeprefix(ENV)
            if not variables.get(variable):
                raise TargetAbsent(
                    f"the plan asks for ${{{name}}}, and {variable} is not set",
                    todo=f"Set {variable} in the environment of this command.",
                )
            found[name] = variables[variable]
    return found


def hidden(secrets: Iterable[str]) -> dict[str, str]:
    """Return secrets that no plan names as values that no record holds, like those from the environment."""
    return {f"{ENV}experiment.{number}": value for number, value in enumerate(secrets)}


def redactor(values: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Redactor:
    """Return what keeps secrets out of files.

    Args:
        values: The values that a plan was bound with, those from the environment among them.
        environment: Where more of them are looked for by their names; None for our own.
    """
    variables = os.environ if environment is None else environment
    secret = [value for name, value in values.items() if name.startswith(ENV)]
    secret += [
        value
        for name, value in variables.items()
        if len(value) >= LENGTH_MIN and _NAME.search(name) and not _NO_VALUE.search(name)
    ]
    return Redactor([*secret, *(part for value in secret for part in _parts(value))])


def _parts(value: str) -> Iterator[str]:
    """Return what is secret inside a secret: a message may name the password without its URL."""
    with suppress(ValueError):
        url = urlsplit(value)
        if url.scheme and url.netloc:
            password = url.password or ""
            yield from (password, unquote(password))
            yield from (item for _, item in parse_qsl(url.query) if len(item) >= LENGTH_MIN)
    yield from _ASSIGNED.findall(value)


def sweep(folder: Path, redact: Redactor) -> None:
    """Take secrets out of what processes wrote themselves: the logs of hosts, once they have ended."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        with suppress(OSError), path.open("rb") as file:
            if not any(redact.is_in(line) for line in file):
                continue
            file.seek(0)
            fresh = path.with_name(f".{path.name}.clean")
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as clean:
                clean.writelines(redact.data(line) for line in file)
            fresh.replace(path)
