"""Bad experiment files, given to `gameday run`: one clear line with its place, the right exit code, no traceback.

Chaos Toolkit ends 26 of them in a traceback, and runs 11 as if nothing were wrong.
"""

import json
import os
import re
import subprocess
from copy import deepcopy

import pytest

from tests.experiments.sidebyside import BIN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TRUE = {"type": "process", "path": "true"}
ACT = {"type": "action", "name": "act", "provider": TRUE}
LOOK = {"type": "probe", "name": "look", "tolerance": 0, "provider": TRUE}
SOUND = {
    "title": "t", "description": "d", "steady-state-hypothesis": {"title": "h", "probes": [LOOK]},
    "method": [ACT], "rollbacks": [{**ACT, "name": "undo"}],
}  # fmt: skip
HYPOTHESIS = "steady-state-hypothesis"
MODULE = """
def value(it=None): return it
def raw(): return b"x"
def a_set(): return {1}
"""


def has(**more):
    return {**deepcopy(SOUND), **more}


def lacks(key):
    return {name: item for name, item in deepcopy(SOUND).items() if name != key}


def acts(**more):
    return has(method=[{**ACT, **more}])


def does(**provider):
    return acts(provider=provider)


def python(module="mine", func="value", **more):
    return {"type": "python", "module": module, "func": func, **more}


def looks(tolerance, provider=TRUE):
    return has(
        **{HYPOTHESIS: {"title": "h", "probes": [{**LOOK, "tolerance": tolerance, "provider": provider}]}}
    )


def gives(value, tolerance):
    return looks(tolerance, python(arguments={"it": value}))


# The file's text or data, the exit code, and what is said of it.
PLACE = r"it\.(?:json|yaml|txt):\d+:\d+: "
REFUSED = {
    "malformed YAML": ("title: [\n", "not YAML|expected"),
    "malformed JSON": ('{"title": "t",\n "method": [}', "not JSON"),
    "an unknown suffix": (SOUND, r"suffix '\.txt'"),
    "a list": ([SOUND], "is a list"),
    "a scalar": (3, "mapping"),
    "no title": (lacks("title"), "`title`"),
    "no description": (lacks("description"), "`description`"),
    "no method": (lacks("method"), "no `method`"),
    "a method that is a mapping": (has(method={}), "`method` is a mapping"),
    "a method that is a text": (has(method="x"), "`method` is a text"),
    "a method that is null": (has(method=None), "`method` is empty"),
    "rollbacks that are null": (has(rollbacks=None), "`rollbacks` is empty"),
    "an activity that is a text": (has(method=["x"]), "is a text"),
    "a provider that is a text": (acts(provider="x"), "is a text"),
    "an unknown provider": (does(type="ssh"), "'ssh'"),
    "an unknown type": (acts(type="fault"), "'fault'"),
    "no name": (acts(name=None), "name"),
    "arguments that are a list": (acts(provider=python(arguments=[1])), "mapping of names"),
    "pauses that are a number": (acts(pauses=3), "expected a mapping"),
    "a negative pause": (acts(pauses={"after": -1}), "negative"),
    "a pause that is a text": (acts(pauses={"after": "3"}), "expected a number"),
    "a background that is a text": (acts(background="yes"), "true or false"),
    "a configuration that is a list": (has(configuration=[]), "`configuration` is a list"),
    "secrets that are a list": (has(secrets=[]), "`secrets` is a list"),
    "probes that are a mapping": (has(**{HYPOTHESIS: {"title": "h", "probes": {}}}), "`probes`"),
    "a hypothesis that is a text": (has(**{HYPOTHESIS: "x"}), "is a text"),
    "a hypothesis that is null": (has(**{HYPOTHESIS: None}), "is empty"),
    "no tolerance": (has(**{HYPOTHESIS: {"title": "h", "probes": [ACT]}}), "no tolerance"),
    "a tolerance that is a float": (looks(0.5), "0.5: expected"),
    "a range of one": (looks({"type": "range", "range": [1]}), "two numbers"),
    "a pattern that is none": (looks({"type": "regex", "pattern": "("}), "pattern"),
    "an unknown ref in the method": (has(method=[{"ref": "nobody"}]), "no such activity"),
    "an unknown ref in the rollbacks": (has(rollbacks=[{"ref": "nobody"}]), "no such activity"),
    "an unknown rollback strategy": (has(runtime={"rollbacks": {"strategy": "sometimes"}}), "'sometimes'"),
    "an unknown hypothesis strategy": (has(runtime={"hypothesis": {"strategy": "often"}}), "'often'"),
    "an extension that is a text": (has(extensions=["x"]), "needs a name"),
    "a tag that is a number": (has(tags=[1]), "list of texts"),
}  # fmt: skip
ARMED = {
    "an unknown module": (does(**python("nobody.there")), "nobody.there"),
    "an unknown function": (does(**python(func="nobody")), "nobody"),
    "an unknown argument": (does(**python(arguments={"nobody": 1})), "nobody"),
    "a module that raises": (does(**python("raises")), "on purpose"),
    "a module that leaves": (does(**python("leaves")), "7|SystemExit"),
    "a program that is not there": (does(type="process", path="/no/such/program"), "/no/such/program"),
    "a variable that is not set": (has(configuration={"a": {"type": "env", "key": "NOT_SET_7"}}), "NOT_SET_7"),
    "a secret that is not set": (has(secrets={"g": {"a": {"type": "env", "key": "NOT_SET_8"}}}), "NOT_SET_8"),
}  # fmt: skip
RUNS = {
    "keys that stand twice": (
        "title: t\ntitle: u\ndescription: d\nmethod: []\nrollbacks: []\n", 0, "'title' stands here twice",
    ),
    "rollback for rollbacks": ({**lacks("rollbacks"), "rollback": []}, 0, "without its undo"),
    "backgroud for background": (acts(backgroud=True), 0, "did you mean `background`"),
    "an argument of a wrong type": (does(type="process", path="sleep", arguments=["soon"]), 0, ""),
    "an unknown variable": (does(type="process", path="true", arguments="${nobody}"), 0, "nothing here defines"),
    "a reversed range": (gives(2, {"type": "range", "range": [3, 1]}), 0, "reversed"),
    "no probes": (has(**{HYPOTHESIS: {"title": "h", "probes": []}}), 0, "says nothing"),
    "a control that is not there": (
        has(controls=[{"name": "c", "provider": {"type": "python", "module": "nobody"}}]), 0, "",
    ),
    "a timeout that is a text": (acts(provider={**TRUE, "timeout": "3"}), 4, "expected a number"),
    "an address without a scheme": (does(type="http", url="x.invalid/y"), 4, "no scheme"),
    "a number against a regex": (gives(3, {"type": "regex", "pattern": "3"}), 0, ""),
    "nothing against a range": (gives(None, {"type": "range", "range": [1, 2]}), 0, ""),
    "a text against a list": (gives("x", [0, 1]), 0, ""),
    "an action that gives bytes": (does(**python(func="raw")), 0, ""),
    "an action that gives a set": (does(**python(func="a_set")), 0, ""),
}  # fmt: skip


@pytest.fixture
def gameday(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "raises.py").write_text("raise ValueError('on purpose')\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(7)\n")

    def run(data):
        is_yaml = isinstance(data, str) and not data.startswith("{")
        path = tmp_path / ("it.txt" if data is SOUND else "it.yaml" if is_yaml else "it.json")
        path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
        env = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
        command = [BIN / "gameday", "run", "--plain", "--run-dir", tmp_path / "run", path]
        done = subprocess.run(
            list(map(str, command)), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
        )  # fmt: skip
        assert (
            "Traceback" not in done.stdout + done.stderr
            and not (tmp_path / ".gameday" / "defect.txt").exists()
        )
        return done

    return run


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_experiment_is_refused_with_its_place(gameday, tmp_path, name):
    data, words = REFUSED[name]
    done = gameday(data)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(f"{PLACE}.*(?:{words})", done.stderr), done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ARMED)
def test_what_is_not_here_is_refused_before_anything_began_with_its_place(gameday, name):
    data, words = ARMED[name]
    done = gameday(data)
    assert done.returncode == 3, done.stdout + done.stderr
    assert re.search(f"{PLACE}.*(?:{words})", done.stderr), done.stderr


@pytest.mark.parametrize("name", RUNS)
def test_what_does_no_harm_runs_and_what_is_odd_is_said(gameday, tmp_path, name):
    data, code, words = RUNS[name]
    done = gameday(data)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr, done.stderr
    assert json.loads((tmp_path / "run" / "journal.json").read_text())["status"]


def test_a_file_that_is_not_there(tmp_path):
    for command in ("run", "validate", "plan"):
        done = subprocess.run(
            [str(BIN / "gameday"), command, "it.json"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 2 and re.search(f"{PLACE}cannot be read", done.stderr), done.stderr
