"""YAML with a memory of where everything stood, so that each complaint names its line.

Stricter than YAML itself: one document, no duplicate keys, no anchors or aliases (a few lines of
them can mean gigabytes), at most 1 MiB, UTF-8 only, keys are text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gameday.errors import PlanError, Problem

SIZE_MAX = 1 << 20
DEPTH_MAX = 50
MESSAGE_MAX = 600
PROBLEMS_MAX = 100
Where = tuple[str | int, ...]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # Ten times as fast, where libyaml is there.


@dataclass(slots=True)
class Source:
    """A parsed file: its data, and the line and column of every key and item."""

    file: str
    data: Any = None
    places: dict[Where, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def complain(self, where: Where, message: str) -> None:
        """Note a problem at a path; the nearest place that exists is named."""
        self.note(*self.place(where), message)

    def note(self, line: int, column: int, message: str) -> None:
        """Note a problem at a place. After a hundred of them nobody reads on, and nothing more is noted."""
        if self.is_full:
            return
        problem = Problem(self.file, line, column, shortened(message))
        if problem not in self.problems:
            self.problems.append(problem)
        if self.is_full:
            last = f"and more: only the first {PROBLEMS_MAX} problems are listed"
            self.problems.append(Problem(self.file, line, column, last))

    @property
    def is_full(self) -> bool:
        """Tell whether there are so many problems that looking for more is of no use."""
        return len(self.problems) >= PROBLEMS_MAX

    def place(self, where: Where) -> tuple[int, int]:
        """Return line and column of a path, or of the nearest parent that stands in the file.

        Parts of the path that are not in the file (names of alternatives) are passed over.
        """
        known: Where = ()
        for part in where:
            if (*known, part) in self.places:
                known = (*known, part)
        return self.places.get(known, (1, 1))


def read_source(path: Path, shown: str | None = None) -> Source:
    """Parse one YAML or JSON file.

    Args:
        path: The file.
        shown: How to name it in complaints; the path by default.

    Raises:
        PlanError: It cannot be read or is not one plain document.
    """
    sources = read_documents(path, shown, most=1)
    return sources[0]


def read_documents(path: Path, shown: str | None = None, *, most: int = 200) -> list[Source]:
    """Parse a file of one or more YAML documents, each with the places in the whole file.

    Raises:
        PlanError: It cannot be read, or holds none, or more than `most`.
    """
    source = Source(shown or str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise _error(source, 1, 1, f"cannot be read: {error.strerror}") from None
    if len(raw) > SIZE_MAX:
        raise _error(source, 1, 1, f"is larger than {SIZE_MAX} bytes, which no plan needs")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _error(source, line, 1, f"byte 0x{raw[error.start]:02x} is not UTF-8") from None
    found = _parse(source, text, most)
    problems = [problem for one in found for problem in one.problems]
    if problems:
        raise PlanError(tuple(problems))
    return found


def _parse(source: Source, text: str, most: int) -> list[Source]:
    try:
        _refuse_aliases(source, text)
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _error(source, line, column, f"not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise _error(source, 1, 1, f"not YAML: {first}") from None
    nodes = [node for node in nodes if node is not None] if most > 1 else nodes
    if not 1 <= len(nodes) <= most or nodes[0] is None:
        few = "one" if most == 1 else f"1 to {most}"
        raise _error(source, 1, 1, f"holds {len(nodes)} documents, expected {few}")
    found = [Source(source.file) for _ in nodes]
    for one, node in zip(found, nodes, strict=True):
        assert node is not None
        one.data = _value(one, node, (), 0)
    return found


def _refuse_aliases(source: Source, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        mark = event.start_mark
        assert mark is not None, "PyYAML marks every event of a text"
        if isinstance(event, yaml.AliasEvent):
            raise _error(
                source, mark.line + 1, mark.column + 1, f"alias *{event.anchor}: write it out instead"
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise _error(source, mark.line + 1, mark.column + 1, f"nested deeper than {DEPTH_MAX}")


def _error(source: Source, line: int, column: int, message: str) -> PlanError:
    return PlanError((Problem(source.file, line, column, shortened(message)),))


def shortened(message: str) -> str:
    """Return a complaint without the middle of whatever made it too long to read."""
    return message if len(message) <= MESSAGE_MAX else f"{message[:200]} … {message[-200:]}"


def _value(source: Source, node: yaml.Node, where: Where, depth: int) -> Any:
    source.places.setdefault(where, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        return _mapping(source, node, where, depth)
    if isinstance(node, yaml.SequenceNode):
        return [_value(source, item, (*where, number), depth + 1) for number, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(source, node, where)


def _mapping(source: Source, node: yaml.MappingNode, where: Where, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        mark = key_node.start_mark
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode):
            source.complain(where, "a key is no plain text")
            continue
        if key in found:
            source.note(mark.line + 1, mark.column + 1, f"key {key!r} stands here twice")
            continue
        source.places[*where, key] = (mark.line + 1, mark.column + 1)
        found[key] = _value(source, value_node, (*where, key), depth + 1)
    return found


def _scalar(source: Source, node: yaml.ScalarNode, where: Where) -> Any:
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind in ("bool", "int", "float"):
        # Times like 1:30 and words like `on` are YAML 1.1's own idea of numbers and truth.
        if kind == "int" and ":" in node.value:
            return node.value
        if kind == "bool" and node.value.lower() not in ("true", "false"):
            return node.value
        try:
            constructor = yaml.SafeLoader("")
            return constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            source.complain(where, f"{node.value!r} is no number")
            return None
    if kind in ("str", "timestamp", "value"):
        return node.value
    source.complain(where, f"tag {node.tag!r} is not allowed")
    return None
