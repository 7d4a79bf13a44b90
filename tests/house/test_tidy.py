"""Length, documentation and a ban list that names the replacement."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "gameday").rglob("*.py"))
MODULE_MAX, FUNCTION_MAX = 400, 50

BANNED = [
    (r"\btime\.time\(", "RunClock.now_ns(): the wall clock can step", {"lab"}),
    (r"shell\s*=\s*True", "a list of arguments", set()),
    (r"\bprint\(", "an event, or gameday.cli", {"cli", "lab", "verify", "console"}),
    (r"except:\s*$", "a named exception", set()),
    (r"\bos\.system\(", "hosts", set()),
    (r"\bpickle\b", "canonical JSON", set()),
    (r"\byaml\.load\(", "gameday.plan.source", set()),
    (r"\bTODO\b|\bFIXME\b|\bXXX\b", "an issue", set()),
]
BROAD = re.compile(r"except (BaseException|Exception)\b")


@cache
def tree_of(path):
    return ast.parse(path.read_text())


def name_of(path):
    return path.relative_to(ROOT / "gameday").as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_modules_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= MODULE_MAX, "split it by noun"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_MAX, f"{node.name} has {length} lines"


def public(node):
    """Public classes and functions, and the public methods of public classes."""
    for child in node.body:
        if isinstance(
            child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_is_documented(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree) or not tree.body, "a module says why it is there"
    for node in public(tree):
        assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_banned_calls_name_their_replacement(path):
    room = name_of(path).split("/")[0]
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        for pattern, instead, allowed in BANNED:
            if re.search(pattern, line) and room not in allowed:
                raise AssertionError(f"{name_of(path)}:{number}: {line.strip()}: use {instead}")
        if BROAD.search(line):
            assert "noqa: BLE001 - " in line or "gate" in name_of(path), f"{name_of(path)}:{number}: say why"
