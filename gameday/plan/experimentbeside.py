"""What `chaos run` takes beside an experiment: files of controls, and Chaos Toolkit's settings file.

Controls are code that runs in the experiment's host, so they stand in the plan: by digest, and with the
modules that they import, for the policy. Nothing is read that the command line does not name; the settings
file in the home folder is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gameday.errors import UsageError
from gameday.plan.source import SIZE_MAX

Digests = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """What the files say: their digests, the controls in them, and the strategies of the settings."""

    control_files: Digests
    settings: Digests
    controls: tuple[dict[str, Any], ...]
    runtime: Mapping[str, Any]


def read_beside(control_files: tuple[str, ...], settings: str) -> Beside:
    """Read what the command line names.

    Raises:
        UsageError: A file cannot be read, or is not what it has to be.
    """
    controls: list[dict[str, Any]] = []
    digests: list[tuple[str, str]] = []
    for name in control_files:
        data, sha256 = _read(name, "--control-file")
        controls += _controls(data, name, "--control-file")
        digests.append((name, sha256))
    if not settings:
        return Beside(tuple(digests), (), tuple(controls), {})
    data, sha256 = _read(settings, "--settings")
    controls += _controls(data.get("controls") or {}, settings, "--settings")
    runtime = data.get("runtime") or {}
    if not isinstance(runtime, dict) or not all(isinstance(part, dict) for part in runtime.values()):
        raise _wrong("--settings", settings, "`runtime` is not a mapping of strategies")
    return Beside(tuple(digests), ((settings, sha256),), tuple(controls), runtime)


def _controls(data: Any, name: str, option: str) -> list[dict[str, Any]]:
    if not isinstance(data, dict) or not all(isinstance(item, dict) for item in data.values()):
        raise _wrong(option, name, "expected a mapping of names to controls")
    for control, item in data.items():
        provider = item.get("provider")
        if isinstance(provider, dict) and not (provider.get("type") == "python" and provider.get("module")):
            raise _wrong(option, name, f"control {control!r} has no Python module")
    return list(data.values())


def _read(name: str, option: str) -> tuple[dict[str, Any], str]:
    path = Path(name)
    try:
        raw = path.read_bytes()[: SIZE_MAX + 1]
        data = json.loads(raw) if path.suffix == ".json" else yaml.safe_load(raw)
    except OSError as error:
        raise _wrong(option, name, error.strerror or "cannot be read") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _wrong(option, f"{name}:{line}", error.problem or "not YAML") from None
    except json.JSONDecodeError as error:
        raise _wrong(option, f"{name}:{error.lineno}:{error.colno}", f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise _wrong(option, name, str(error)) from None
    if not isinstance(data or {}, dict):
        raise _wrong(option, name, "expected a mapping")
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise _wrong(option, name, "expected a .json, .yaml or .yml file")
    return data or {}, hashlib.sha256(raw).hexdigest()


def _wrong(option: str, name: str, why: str) -> UsageError:
    return UsageError(f"{option} {name}: {why}", todo="Nothing was begun.")
