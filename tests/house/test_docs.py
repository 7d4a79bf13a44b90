"""The documents say what the code does: commands, targets, plans, runbooks; and no traces of a machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.cli.help_texts import COMMANDS
from gameday.cli.main import main
from gameday.plan.load import load_plan

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PLANS = sorted((ROOT / "experiments").glob("*.yaml"))
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.yaml"))


def tracked():
    out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = out.stdout.split() if out.returncode == 0 else []
    return [ROOT / n for n in names if (ROOT / n).is_file()]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_an_example_and_a_place_in_the_readme(name, capsys):
    assert f"gameday {name}" in README
    if name == "lab":
        return
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "example:" in capsys.readouterr().out


def test_readme_is_short_and_shows_its_two_commands_early():
    lines = README.splitlines()
    assert len(lines) <= 250
    early = "\n".join(lines[:25])
    assert "make drill" in early and "make test" in early and "RTA orders" in early


def test_make_targets_named_in_the_readme_exist():
    out = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True).stdout
    for name in re.findall(r"`make ([a-z-]+)`", README):
        assert re.search(rf"^{name}\b", out, re.M), f"make {name} is not there"


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.stem)
def test_every_plan_is_sound(path):
    plan = load_plan(path)
    assert dict(plan.about)["hypothesis"]
    assert not plan.warnings


def test_every_runbook_is_used():
    used = {step.runbook for path in PLANS for step in load_plan(path).steps}
    for path in RUNBOOKS:
        assert f"runbooks/{path.name}" in used


def test_the_repository_speaks_of_the_product_alone():
    patterns = [r"/wor" + r"k/", r"/ro" + r"ot/", r"index-" + r"url", r"https?://[^ \"']*/simple/"]
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for pattern in patterns:
            assert not re.search(pattern, text), f"{path.relative_to(ROOT)} holds {pattern}"


def test_help_answers_without_loading_the_house():
    code = "import sys; from gameday.cli.main import parser; parser(); print([m for m in ('pydantic','rich','kubernetes','boto3','locust','jinja2','yaml') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"
