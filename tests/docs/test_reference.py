"""The reference is what the code says: every command, key, event, code and variable, and nothing else."""

from __future__ import annotations

import re

import pytest

from gameday.plan import meanings, policymeanings
from gameday.plan.schema import json_schema
from tests.docs.reference import FOLDER, ROOT, pages, shapes, variables, words
from tests.docs.words import OURS, VARIABLES


@pytest.mark.parametrize("name", sorted(pages()))
def test_each_page_is_in_step(name):
    assert (FOLDER / name).read_text() == pages()[name], "`python -m tests.docs --write`"


def test_no_page_is_left_over():
    assert {path.name for path in FOLDER.glob("*.md")} == set(pages())


def test_every_key_has_a_meaning_and_every_meaning_a_key():
    keys = {}
    for shape, said in shapes():
        for name, field in shape.model_fields.items():
            key = field.alias or name
            assert words(shape, key, said), (
                f"{shape.__name__}.{key}: say what it means in gameday/plan/…meanings.py"
            )
        for owner in shape.__mro__:
            keys.setdefault(owner.__name__, set()).update(f.alias or n for n, f in shape.model_fields.items())
    keys["FilesIn"] = {"plan", "runbook"}
    for told in (meanings.MEANINGS, policymeanings.MEANINGS):
        for owner, text in told.items():
            for line in filter(None, text.splitlines()):
                assert line.partition(": ")[0] in keys.get(owner, ()), f"{owner}: {line!r} is about no key"


def test_editors_are_told_what_each_key_means():
    found = json_schema()
    for owner, part in (("a plan", found), *found["$defs"].items()):
        for key, said in part.get("properties", {}).items():
            assert said["description"], f"{owner}.{key}"


def test_every_variable_that_is_read_is_told_of():
    named = set()
    for path in (ROOT / "gameday").rglob("*.py"):
        named |= set(re.findall(r"\bGAMEDAY_[A-Z_]+\b", path.read_text()))
    assert (variables() | named) - OURS - set(VARIABLES) == set()
    everywhere = "\n".join(path.read_text() for path in (ROOT / "gameday").rglob("*.py"))
    assert [name for name in VARIABLES if name not in everywhere] == []
