"""Read a Chaos Toolkit experiment as Chaos Toolkit reads it, and remember where everything stood.

It takes more than our own plans may hold: anchors, aliases, keys that stand twice (the last one counts),
tabs in JSON. What it takes must run here too; so the data is what PyYAML and `json` make of it, and only
the places come from a walk of our own. Files that would unfold into gigabytes are still refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gameday.errors import PlanError, Problem
from gameday.plan.source import SIZE_MAX, Source, Where, shortened

NODES_MAX = 100_000
_MARKS = {"method", "steady-state-hypothesis", "rollbacks"}  # No native plan has these.
_NATIVE = {"steps", "kind", "target", "objectives"}
SUFFIXES = (".json", ".yaml", ".yml")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class ExperimentFile:
    """An experiment as read: its data with the places, its digest, and what is odd about its text."""

    source: Source
    sha256: str
    odd: list[str]


def looks_like_experiment(path: Path) -> bool:
    """Tell whether a file is an experiment, or would be one if it were sound. Never raises.

    A file that cannot be parsed is one when it is JSON, or has `method:` at the start of a line.
    """
    is_json = path.suffix == ".json"
    try:
        with path.open("rb") as file:
            text = file.read(SIZE_MAX + 1).decode("utf-8-sig")
        node = yaml.compose(text.replace("\t", " ") if is_json else text, Loader=_LOADER)
    except (OSError, UnicodeDecodeError):
        return False
    except (yaml.YAMLError, RecursionError, ValueError):
        lines = text.splitlines()
        return is_json or (_has(lines, "method:") and not _has(lines, "steps:"))
    if not isinstance(node, yaml.MappingNode):
        return is_json
    keys = {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
    if keys & _MARKS:
        return True
    return not keys & _NATIVE and (is_json or {"title", "description"} <= keys)


def _has(lines: list[str], start: str) -> bool:
    return any(line.startswith(start) for line in lines)


def read_experiment(path: Path, shown: str | None = None) -> ExperimentFile:
    """Parse one experiment.

    Raises:
        PlanError: It cannot be read, or is not what its suffix says.
    """
    source = Source(shown or str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise _error(source, 1, 1, f"cannot be read: {error.strerror}") from None
    if len(raw) > SIZE_MAX:
        raise _error(source, 1, 1, f"is larger than {SIZE_MAX} bytes, which no experiment needs")
    if path.suffix not in SUFFIXES:
        raise _error(source, 1, 1, f"suffix {path.suffix!r}: expected one of {', '.join(SUFFIXES)}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _error(source, line, 1, f"byte 0x{raw[error.start]:02x} is not UTF-8") from None
    found = ExperimentFile(source, hashlib.sha256(raw).hexdigest(), [])
    if path.suffix == ".json":
        _json(found, text)
    else:
        _yaml(found, text)
    return found


def _json(found: ExperimentFile, text: str) -> None:
    source = found.source
    try:
        source.data = json.loads(text)
    except json.JSONDecodeError as error:
        raise _error(source, error.lineno, error.colno, f"not JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise _error(source, 1, 1, f"not JSON: {error}") from None
    try:  # A tab cannot stand inside a JSON text as it is, so each of them is mere space.
        node = yaml.compose(text.replace("\t", " "), Loader=_LOADER)
        _places(found, node, (), 0)
    except (yaml.YAMLError, RecursionError, ValueError):
        source.places.setdefault((), (1, 1))  # Sound JSON that is no YAML: places are lost, nothing else.


def _yaml(found: ExperimentFile, text: str) -> None:
    source = found.source
    try:
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            raise _error(source, 1, 1, "is empty: expected an experiment with title, description and method")
        if _size(node, {}, 0) > NODES_MAX:
            raise _error(
                source, 1, 1, f"unfolds into more than {NODES_MAX} values, which no experiment needs"
            )
        source.data = _LOADER(text).get_single_data()
        _places(found, node, (), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _error(source, line, column, f"not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise _error(source, 1, 1, f"not YAML: {first}") from None


def _size(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Return how many values a node unfolds into, aliases counted each time."""
    if depth > 100:
        return NODES_MAX + 1
    if id(node) not in known:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = list(node.value)
        known[id(node)] = 1 + sum(_size(child, known, depth + 1) for child in children)
    return known[id(node)]


def _places(found: ExperimentFile, node: yaml.Node | None, where: Where, depth: int) -> None:
    source = found.source
    if node is None or depth > 100:
        return
    mark = node.start_mark
    source.places.setdefault(where, (mark.line + 1, mark.column + 1))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _places(found, item, (*where, number), depth + 1)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name in seen and name != "<<":
            line = key.start_mark.line + 1
            found.odd.append(f"line {line}: key {name!r} stands here twice; the last one counts")
        seen.add(name)
        source.places[*where, name] = (key.start_mark.line + 1, key.start_mark.column + 1)
        _places(found, value, (*where, name), depth + 1)


def _error(source: Source, line: int, column: int, message: str) -> PlanError:
    return PlanError((Problem(source.file, line, column, shortened(message)),))
